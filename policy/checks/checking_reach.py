"""Rules that can never decide, limits that nothing reaches, lists that have nothing in common.

- A rule never decides where another one always wins over it: that other one covers it (`policy/footprints.py`), has no
  condition, enforces, is lifted by no exception, and is stricter, or as strict and before it in the same document.
  (Two documents that ask people both ask theirs; of two that deny, the first decides.)
- A limit without caps and without a condition wins over every rule and every limit that it covers.
- Of the chains of a rule the first that fits is asked: one after a choice that fits everything never is, and where none
  fits the rule denies.
- Conditions are not analysed: whether one implies another is not decided here. Rules that could only be out of reach by
  a condition are named in one info, so that nobody takes silence for proof.

Sets of rules are bits of one number, so that a document of thousands of rules is checked in milliseconds.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from policy.checks.findings import Finding, Severity
from policy.document import ChainChoice, Rule
from policy.footprints import Coverage, Footprint, Values, first
from policy.rules.chains import Verdict
from policy.rules.limits import Limit
from policy.subject import Subject, WrittenPolicy

_SHOWN = 8


class _Placed(NamedTuple):
    """A rule or limit with its number in its document, and its footprint."""

    written: WrittenPolicy
    number: int
    item: Rule | Limit
    footprint: Footprint

    @property
    def path(self) -> tuple[str | int, ...]:
        return ("rules" if isinstance(self.item, Rule) else "limits", self.number)


def reach_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about what is never reached."""
    rules = [
        _Placed(written, number, rule, Footprint(rule.match, written.document.metadata.covers))
        for written in subject.policies
        for number, rule in enumerate(written.document.rules)
    ]
    limits = [
        _Placed(written, number, limit, Footprint(limit.match, written.document.metadata.covers))
        for written in subject.policies
        for number, limit in enumerate(written.document.limits)
    ]
    for placed in (*limits, *rules):
        yield from _empty(placed)
        yield from _choices(placed)
    yield from _rules(subject, rules, limits)
    yield from _limits(limits)


def _empty(placed: _Placed) -> Iterator[Finding]:
    for name in placed.footprint.empty:
        message = f"{placed.item.id} matches nothing: its {name} are none of those that its document covers"
        yield placed.written.say(Severity.error, "matches_nothing", message, *placed.path, "match", name)


def _choices(placed: _Placed) -> Iterator[Finding]:
    """What of the chains of a rule is never asked, and where none of them is."""
    rule = placed.item
    if not isinstance(rule, Rule) or isinstance(rule.chain, str) or not rule.chain:
        return
    last = next((number for number, choice in enumerate(rule.chain) if _fits_all(choice)), None)
    if last is None:
        message = f"rule {rule.id} denies where none of its chains fits: end with a choice that has no lists, to ask"
        yield placed.written.say(Severity.warning, "no_chain_fits_all", message, *placed.path, "chain")
    elif last + 1 < len(rule.chain):
        message = f"rule {rule.id} never asks chain {rule.chain[last + 1].chain}: the choice before it fits everything"
        yield placed.written.say(Severity.warning, "unreachable_choice", message, *placed.path, "chain", last + 1)


def _rules(subject: Subject, rules: Sequence[_Placed], limits: Sequence[_Placed]) -> Iterator[Finding]:
    coverage, above = Coverage([item.footprint for item in rules]), Coverage([item.footprint for item in limits])
    sure, order = _sure(subject, rules), _Order(rules)
    walls, conditional = _bits(limits, _is_wall), _bits(limits, lambda item: item.item.when is not None)
    later: list[tuple[_Placed, str]] = []
    for number, placed in enumerate(rules):
        if placed.footprint.empty:
            continue
        over = above.of(placed.footprint)
        wins = coverage.of(placed.footprint) & order.winners(number)
        if (wall := first(over & walls)) is not None:
            yield _unreachable(placed, f"limit {limits[wall].item.id} denies everything that it matches")
        elif (winner := first(wins & sure)) is not None:
            yield _unreachable(placed, _why(rules[winner], placed))
        elif (maybe := first(wins)) is not None:
            later.append((placed, rules[maybe].item.id))
        elif (maybe := first(over & conditional)) is not None:
            later.append((placed, limits[maybe].item.id))
    yield from _not_analysed(later)


def _bits(items: Sequence[_Placed], wanted: Callable[[_Placed], bool]) -> int:
    return sum(1 << number for number, placed in enumerate(items) if wanted(placed))


def _is_wall(placed: _Placed) -> bool:
    """Whether a limit denies everything that it matches."""
    return isinstance(placed.item, Limit) and placed.item.when is None and not placed.item.capped


def _sure(subject: Subject, rules: Sequence[_Placed]) -> int:
    """The rules that decide whenever they match."""
    exceptions = [item for written in subject.policies for item in written.document.exceptions]
    lifted = {name for item in exceptions if item.expires_at > subject.now for name in item.lifts}

    def decides(placed: _Placed) -> bool:
        rule = placed.item
        return isinstance(rule, Rule) and rule.when is None and rule.enforced(subject.now) and rule.id not in lifted

    return _bits(rules, decides)


class _Order:
    """Which rules win over which, wherever both speak."""

    def __init__(self, rules: Sequence[_Placed]) -> None:
        self._rules = rules
        strictness = [[verdict.strictness for verdict in _verdicts(placed)] for placed in rules]
        self._most = [max(levels) for levels in strictness]
        levels = range(len(Verdict) + 1)
        self._from = [sum(1 << at for at, found in enumerate(strictness) if min(found) >= level) for level in levels]
        self._document: dict[int, int] = {}
        for number, placed in enumerate(rules):
            self._document[id(placed.written)] = self._document.get(id(placed.written), 0) | 1 << number

    def winners(self, number: int) -> int:
        """The rules that are stricter than this one in any case, or as strict and before it."""
        most = self._most[number]
        stricter = self._from[most + 1]
        as_strict = self._from[most] & ~stricter & (1 << number) - 1
        if most != Verdict.deny.strictness:
            as_strict &= self._document[id(self._rules[number].written)]
        return stricter | as_strict


def _verdicts(placed: _Placed) -> list[Verdict]:
    """What a rule may answer where it matches; one whose chains may fit nothing may deny."""
    rule = placed.item
    assert isinstance(rule, Rule)
    found = [rule.verdict, *([Verdict(rule.outside)] if rule.outside else [])]
    if rule.choices and not any(_fits_all(item) for item in rule.choices):
        found.append(Verdict.deny)
    return found


def _fits_all(choice: ChainChoice) -> bool:
    return all(getattr(choice, name) is None for name in ("tiers", "owners", "effects", "environments"))


def _why(winner: _Placed, loser: _Placed) -> str:
    assert isinstance(winner.item, Rule)
    how = "comes first and answers" if winner.written is loser.written else "answers"
    return f"rule {winner.item.id} covers all that it matches, {how} {winner.item.verdict}"


def _unreachable(placed: _Placed, why: str) -> Finding:
    fails = " (if its condition fails, it denies all the same)" if placed.item.when else ""
    message = f"rule {placed.item.id} never decides: {why}{fails}: remove it, or narrow the other"
    return placed.written.say(Severity.warning, "unreachable_rule", message, *placed.path)


def _not_analysed(later: Sequence[tuple[_Placed, str]]) -> Iterator[Finding]:
    if not later:
        return
    pairs = [f"{placed.item.id} (by {other})" for placed, other in later]
    shown = ", ".join(pairs[:_SHOWN]) + (f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")
    placed = later[0][0]
    message = f"not analysed: conditions, exceptions or enforcement decide whether these rules are reached: {shown}"
    yield placed.written.say(Severity.info, "not_analysed", message, *placed.path)


def _limits(limits: Sequence[_Placed]) -> Iterator[Finding]:
    coverage, walls = Coverage([item.footprint for item in limits]), _bits(limits, _is_wall)
    alike: dict[frozenset[tuple[str, Values]], int] = {}
    for number, placed in enumerate(limits):
        key = frozenset(placed.footprint.lists.items())
        alike[key] = alike.get(key, 0) | 1 << number
    for number, placed in enumerate(limits):
        others = coverage.of(placed.footprint) & walls & ~(1 << number)
        if walls >> number & 1:
            # Of several that say the same, all but the first are too many.
            others &= ~alike[frozenset(placed.footprint.lists.items())] | (1 << number) - 1
        if not placed.footprint.empty and (wall := first(others)) is not None:
            message = f"limit {placed.item.id} adds nothing: limit {limits[wall].item.id} denies all that it matches"
            yield placed.written.say(Severity.warning, "pointless_limit", message, *placed.path)
