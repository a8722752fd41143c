"""What a policy means at a probe, in a form that is equal where the meaning is.

- Of one document: the answers in order of strictness, each with the conditions under which it is given, up to the first
  that is given without any. Names, reasons, comments and order without effect are not in it.
- A condition is its text. That two texts always agree is not seen, and that one implies another is not seen: such a
  difference is said although there is none, never the other way round.
- A rule whose condition fails denies, so each condition that is asked is in the form, whatever its rule says.
- Windows and freezes are their calendars, chains are whom they ask and for how long. An exception is what would be
  answered without what it lifts.
- A limit that denies whatever it matches leaves nothing else to say.
- Break-glass is in it where it can do something: not where a rule denies for certain, and where no rule covers only if
  it lifts a freeze there, which may be that of a part of a target.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from policy.canonical import canonical
from policy.checks.probing import lists_of
from policy.document import PolicyDocument, PolicySet, Rule
from policy.rules.admission import AdmissionLimit
from policy.rules.aggregate import AggregateLimit, aggregate_text
from policy.rules.calendars import Calendar
from policy.rules.chains import ApprovalChain, Verdict
from policy.rules.exceptions import BreakGlass, PolicyException
from policy.rules.limits import Limit

Conditions = frozenset[tuple[str, str]]
_CAPS = ("max_resolved", "max_share", "max_failure_domains", "max_per_hour", "max_plan_age")


class Answer(NamedTuple):
    """A verdict, the chain that is asked (its canonical text), and when: any of the alternatives, each all of it."""

    verdict: Verdict
    chain: str
    alternatives: frozenset[Conditions]

    @property
    def always(self) -> bool:
        """Whether it is given without any condition."""
        return frozenset() in self.alternatives


class Speech(NamedTuple):
    """What one document says at a probe."""

    answers: tuple[Answer, ...]
    fails: frozenset[str] = frozenset()
    noted: frozenset[tuple[str, ...]] = frozenset()
    freezes: frozenset[str] = frozenset()
    exceptions: frozenset[tuple[Any, ...]] = frozenset()
    glass: tuple[str, ...] = ()


class Form(NamedTuple):
    """What a whole policy says at a probe. `wall`: a limit denies whatever happens."""

    wall: bool
    caps: frozenset[tuple[str, ...]] = frozenset()
    speeches: tuple[Speech, ...] = ()


class _Item(NamedTuple):
    lists: Mapping[str, frozenset[Any]]
    number: int
    value: Any


class Meaning:
    """The forms of one policy at the probes; `items` are the lists whose bits a probe has, from `offset` on."""

    def __init__(self, policy: PolicySet, now: datetime) -> None:
        self._policy = policy
        self._now = now
        self._items = [item for number, part in enumerate(policy.documents) for item in _items(number, part)]
        self._bits = {id(item.value): 1 << at for at, item in enumerate(self._items)}
        self._forms: dict[int, Form] = {}
        self.words: dict[str, str] = {}

    @property
    def items(self) -> list[Mapping[str, frozenset[Any]]]:
        """The lists of everything that may match, in the order of the bits."""
        return [item.lists for item in self._items]

    def at(self, bits: int) -> Form:
        """The form where just these items match."""
        bits &= (1 << len(self._items)) - 1
        if bits not in self._forms:
            self._forms[bits] = self._form(bits)
        return self._forms[bits]

    def _form(self, bits: int) -> Form:
        speaking = [part for part in self._policy.documents if self._in(bits, part)]
        limits = [item for part in speaking for item in part.limits if self._in(bits, item)]
        if any(item.when is None and not item.capped for item in limits):
            return Form(wall=True)
        speeches = [self._speech(bits, part) for part in speaking]
        if not any(item.answers or item.noted for item in speeches):
            speeches = [item if item.freezes.intersection(item.glass) else item._replace(glass=()) for item in speeches]
        speeches = [item for item in speeches if item != Speech(())]
        caps = {_cap(item) for item in limits}
        caps |= {_admits(item) for part in speaking for item in part.admission if self._in(bits, item)}
        caps |= {_together(item) for part in speaking for item in part.aggregate if self._in(bits, item)}
        return Form(False, frozenset(caps), tuple(_needed(speeches)))

    def _speech(self, bits: int, part: PolicyDocument) -> Speech:
        rules = [item for item in part.rules if self._in(bits, item)]
        counted = [item for item in rules if item.enforced(self._now)]
        freezes = {item.id: item for item in part.calendars if item.kind == "freeze" and self._in(bits, item)}
        answers = self._answers(bits, part, counted)
        denied = bool(answers) and answers[0].verdict is Verdict.deny and answers[0].always
        exceptions = frozenset(self._exceptions(bits, part, counted, freezes))
        glass = next((self._glass(part, item) for item in part.break_glass if self._in(bits, item)), ())
        return Speech(
            answers=answers,
            fails=frozenset() if denied else frozenset(condition(item.when) for item in counted if item.when),
            noted=frozenset(self._note(bits, part, item) for item in rules if not item.enforced(self._now)),
            freezes=frozenset(self._calendar(item) for item in freezes.values()),
            exceptions=exceptions,
            glass=() if denied and not exceptions else glass,
        )

    def _in(self, bits: int, value: Any) -> bool:
        return bool(bits & self._bits[id(value)])

    def _answers(self, bits: int, part: PolicyDocument, rules: Iterable[Rule]) -> tuple[Answer, ...]:
        found = [answer for rule in rules for answer in self._of_rule(bits, part, rule)]
        found.sort(key=lambda item: -item.verdict.strictness)
        return tuple(_merged(found))

    def _of_rule(self, bits: int, part: PolicyDocument, rule: Rule) -> Iterator[Answer]:
        """The answers of a rule: inside of its windows and outside of them, where it has any."""
        when = frozenset({("when", condition(rule.when))} if rule.when else ())
        if rule.windows is None:
            yield self._answer(bits, part, rule, rule.verdict, when)
            return
        windows = {item.id: item for item in part.calendars}
        inside = " or ".join(sorted(self._calendar(windows[name]) for name in rule.windows))
        self.words[inside] = " or ".join(rule.windows)
        assert rule.outside is not None
        yield self._answer(bits, part, rule, rule.verdict, when | {("inside", inside)})
        yield self._answer(bits, part, rule, Verdict(rule.outside), when | {("outside", inside)})

    def _answer(self, bits: int, part: PolicyDocument, rule: Rule, verdict: Verdict, when: Conditions) -> Answer:
        if not verdict.asks:
            return Answer(verdict, "", frozenset({when}))
        choices = rule.choices if isinstance(rule.chain, str) else [one for one in rule.choices if self._in(bits, one)]
        if not choices:
            return Answer(Verdict.deny, "", frozenset({when}))
        return Answer(verdict, chain_text(part.chain(choices[0].chain)), frozenset({when}))

    def _note(self, bits: int, part: PolicyDocument, rule: Rule) -> tuple[str, ...]:
        answers = self._answers(bits, part, [rule])
        return (rule.enforcement, str(rule.enforce_from), repr(answers), " or ".join(item.verdict for item in answers))

    def _exceptions(
        self, bits: int, part: PolicyDocument, rules: Sequence[Rule], freezes: Mapping[str, Calendar]
    ) -> Iterator[tuple[Any, ...]]:
        for item in part.exceptions:
            if not self._in(bits, item) or item.expires_at <= self._now:
                continue
            left = [rule for rule in rules if rule.id not in item.lifts]
            thawed = frozenset(self._calendar(freezes[name]) for name in item.lifts if name in freezes)
            if len(left) < len(rules) or thawed:
                yield (*_granted(item), self._answers(bits, part, left), thawed)

    def _glass(self, part: PolicyDocument, item: BreakGlass) -> tuple[str, ...]:
        freezes = {one.id: one for one in part.calendars}
        lifted = sorted(self._calendar(freezes[name]) for name in item.lifts_freezes)
        chains = [chain_text(part.chain(name)) if name else "" for name in (item.chain, item.review, item.dual_control)]
        told = item.model_dump_json(include={"who", "budget", "review_within", "reason_required"})
        return (*chains, told, *lifted)

    def _calendar(self, item: Calendar) -> str:
        told = item.model_dump(mode="json", exclude={"id", "reason", *(["match"] if item.kind == "freeze" else [])})
        found = canonical(told).decode()
        self.words[found] = item.id
        return found


def _items(number: int, part: PolicyDocument) -> Iterator[_Item]:
    yield _Item(lists_of(part.metadata.covers), number, part)
    for items in (part.rules, part.limits, part.exceptions, part.break_glass, part.admission, part.aggregate):
        for item in items:
            yield _Item(lists_of(item.match), number, item)
    for calendar in part.calendars:
        if calendar.kind == "freeze":
            yield _Item(lists_of(calendar.match), number, calendar)
    for rule in part.rules:
        if not isinstance(rule.chain, str):
            yield from (_Item(lists_of(choice), number, choice) for choice in rule.chain or ())


def _merged(found: Iterable[Answer]) -> Iterator[Answer]:
    """Answers that say the same as one, and nothing after one that is always given."""
    last: Answer | None = None
    for answer in found:
        if last is not None and answer[:2] == last[:2]:
            last = last._replace(alternatives=last.alternatives | answer.alternatives)
        else:
            if last is not None:
                yield _shortest(last)
            last = answer
        if answer.always:
            break
    if last is not None:
        yield _shortest(last)


def _shortest(answer: Answer) -> Answer:
    """Without the alternatives that another one contains."""
    every = answer.alternatives
    return answer._replace(alternatives=frozenset(item for item in every if not any(other < item for other in every)))


def _needed(speeches: Sequence[Speech]) -> Iterator[Speech]:
    """Without the documents that allow whatever another one has the last word about anyway."""
    decided = [item for item in speeches if item.answers and item.answers[-1].always]
    for item in speeches:
        plain = item._replace(answers=()) == Speech(()) and [one.verdict for one in item.answers] == [Verdict.allow]
        if not (plain and item.answers[0].always and any(other is not item for other in decided)):
            yield item


def _cap(limit: Limit) -> tuple[str, ...]:
    caps = [f"{name} {value}" for name in _CAPS if (value := getattr(limit, name)) is not None]
    return (condition(limit.when) if limit.when else "", *caps)


def _admits(limit: AdmissionLimit) -> tuple[str, ...]:
    most = (("max_pending", limit.max_pending), ("max_per_hour", limit.max_per_hour))
    return ("", *(f"admission {name} {value} per {limit.per}" for name, value in most if value is not None))


def _together(limit: AggregateLimit) -> tuple[str, ...]:
    return (condition(limit.when) if limit.when else "", f"aggregate {aggregate_text(limit)}")


def _granted(item: PolicyException) -> tuple[Any, ...]:
    when = condition(item.when) if item.when else ""
    return when, str(item.granted_at), f"{item.expires_at:%Y-%m-%d}", str(item.expires_at), frozenset(item.approved_by)


def condition(text: str) -> str:
    """The text by which conditions are compared: without the space around it, and where nothing is quoted, in it."""
    return text.strip() if "'" in text or '"' in text else " ".join(text.split())


def chain_text(chain: ApprovalChain) -> str:
    """The canonical text of a chain: whom it asks, how many, for how long, and what then; not how it is called."""
    stages = []
    for stage in chain.stages:
        told = stage.model_dump(mode="json", exclude={"name"})
        for step in (*told["escalations"], *filter(None, (told["expiry_escalation"],))):
            del step["reason"]
            step["add_groups"].sort()
            step["to"].sort()
        for requirement in told["requirements"]:
            for named in ("groups", "roles", "people", "qualifications"):
                requirement[named].sort()
        told["reminders"].sort()
        told["requirements"].sort(key=canonical)
        stages.append(told)
    return canonical(stages).decode()
