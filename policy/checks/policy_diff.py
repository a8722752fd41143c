"""What changes in meaning from one policy to another, and not what changes in its text.

- Both are asked the same questions (`policy/checks/probing.py`), one for each case that either of them tells apart, and
  their answers are compared in a form that is equal where the meaning is (`policy/checks/meaning.py`). Where no answer
  differs, and no deadline, author, age of facts or right to revoke, nothing is said.
- Answers that change in the same way are said together, with where they do.
- Conditions are compared by their text; a change of one is said with `if`, and nobody claims to know what it changes.
- A change is stricter where the answer at its mildest and at its strictest is no milder than before, and one of the two
  is stricter; milder the other way round; anything else is just different.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from policy.base import RecordModel
from policy.canonical import canonical
from policy.catalog import Catalog
from policy.checks.afterwards import said_afterwards
from policy.checks.meaning import Answer, Form, Meaning, Speech, chain_text
from policy.checks.probing import Probes
from policy.checks.regions import Point, boxes, sentence
from policy.checks.stage_times import times_of
from policy.document import PolicySet
from policy.operations import OperationsRegistry
from policy.rules.chains import Mode, Requirement, Verdict
from policy.rules.durations import written
from policy.rules.stepping_up import ProofDemand, sayings, wanted_by_vote

Direction = Literal["stricter", "milder", "different"]
_TIER, _OWNER, _SYSTEM, _TARGET, _ENVIRONMENT, _OPERATION = 5, 4, 3, 2, 1, 0
_ORDER = (_TIER, _OWNER, _SYSTEM, _TARGET, _ENVIRONMENT, _OPERATION)
_DENIED = 100_000
# A rule can be lifted by an exception, a limit by nothing.
_WALL = 100_001
_BY_VERDICT = 10_000


class Change(RecordModel):
    """One change: where, from what to what, and whether it is stricter."""

    where: str
    before: str
    after: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.where}: {self.before} -> {self.after} ({self.direction})"


class PolicyDiff(RecordModel):
    """All changes. `asked` is how many cases were compared, `conditions` how many conditions by their text only."""

    changes: tuple[Change, ...]
    asked: int
    conditions: int


def diff(
    old: PolicySet,
    new: PolicySet,
    *,
    now: datetime,
    operations: OperationsRegistry | None = None,
    catalog: Catalog | None = None,
) -> PolicyDiff:
    """Compare two policies in meaning; pure.

    Args:
        old: the one before.
        new: the one after.
        now: the instant (UTC): what expired by then is not there any more.
        operations: the operations registry, so that what is registered is said by name.
        catalog: the same for targets and environments.

    Raises:
        DocumentError: they tell more cases apart than can be asked.
    """
    before, after = Meaning(old, now), Meaning(new, now)
    probes = Probes([*before.items, *after.items], operations, catalog)
    shift = len(before.items)
    changed: dict[tuple[Form, Form], list[Point]] = {}
    for point, bits in probes:
        pair = before.at(bits), after.at(bits >> shift)
        if pair[0] != pair[1]:
            changed.setdefault(pair, []).append(point)
    said: dict[tuple[str, str, Direction], list[Point]] = {}
    for (one, other), points in changed.items():
        words = {**before.words, **after.words}
        said.setdefault((*_said(one, other, words), _direction(one, other)), []).extend(points)
    changes = [
        Change(where=sentence(box, probes.dimensions), before=key[0], after=key[1], direction=key[2])
        for key, points in said.items()
        for box in boxes(points, _ORDER)
    ]
    conditions = {
        item.when for part in (*old.documents, *new.documents) for item in (*part.rules, *part.limits, *part.aggregate)
    }
    return PolicyDiff(
        changes=(*_general(old, new), *_revoking(old, new), *changes),
        asked=len(probes),
        conditions=len(conditions - {None}),
    )


def _general(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    """What holds of every action."""
    for name in ("absolute_deadline", "permit_ttl"):
        one, other = getattr(old, name), getattr(new, name)
        if one != other:
            way: Direction = "stricter" if other < one else "milder"
            yield Change(where=name, before=written(one), after=written(other), direction=way)
    aged, ages = old.max_directory_age, new.max_directory_age
    if aged != ages:
        way = "stricter" if ages is not None and (aged is None or ages < aged) else "milder"
        was, will = (written(age) if age is not None else "any age" for age in (aged, ages))
        yield Change(where="max_directory_age", before=was, after=will, direction=way)
    for name, before, after in (
        ("authors, who approve nothing", _authors(old), _authors(new)),
        ("age of facts that counts as stale", _ages(old), _ages(new)),
        ("newcomers, who wait", _newcomers(old), _newcomers(new)),
        ("peak hours", _peaks(old), _peaks(new)),
        ("what the proof of a vote must show", _proofs(old), _proofs(new)),
        ("what counts as a change while people are asked", _drift(old), _drift(new)),
    ):
        if before != after:
            one, other = ("; ".join(sorted(items)) or "none" for items in (before, after))
            way = "stricter" if before < after else "milder" if after < before else "different"
            yield Change(where=name, before=one, after=other, direction=way)
    yield from _unsigned(old, new)


def _unsigned(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    """What may come unsigned: each document that does not let everything makes that stricter."""
    lets, will = Counter(_lets(old)), Counter(_lets(new))
    gone, came = list((lets - will).elements()), list((will - lets).elements())
    if not gone and not came:
        return
    one, other = (" and ".join("; ".join(sorted(item)) or "nothing" for item in items) for items in (gone, came))
    narrowed, widened = (len(gone) == len(came) == 1 and pair[0] < pair[-1] for pair in (came + gone, gone + came))
    way: Direction = "stricter" if not gone or narrowed else "milder" if not came or widened else "different"
    yield Change(where="what may come unsigned", before=one or "everything", after=other or "everything", direction=way)


def _lets(policy: PolicySet) -> Iterator[frozenset[str]]:
    """What each document lets come unsigned that does not let everything, as its rules say it."""
    for part in policy.documents:
        found = frozenset(_listed(rule.model_dump(mode="json", exclude_none=True)) for rule in part.unsigned)
        if "everything" not in found:
            yield found


def _listed(rule: dict[str, list[str]]) -> str:
    return ", ".join(f"{name} {' or '.join(items)}" for name, items in rule.items()) or "everything"


def _authors(policy: PolicySet) -> frozenset[str]:
    return frozenset(name for part in policy.documents for name in part.metadata.authors)


def _drift(policy: PolicySet) -> frozenset[str]:
    """What is measured when, and what of it counts: more of it is stricter where nothing else differs."""
    told = policy.drift
    if told is None:
        return frozenset()
    lengths = [
        f"{name} {written(value)}" for name in ("recheck_every", "min_interval") if (value := getattr(told, name))
    ]
    counts = [f"score_step {told.score_step}", f"max_voids {told.max_voids}"]
    return frozenset((*lengths, *counts, *(f"material {fact}" for fact in told.material)))


def _revoking(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    """Who may revoke, and whom undoing is asked of: more people to stop an action are neither stricter nor milder."""
    before, after = _revocations(old), _revocations(new)
    if before.keys() != after.keys():
        one, other = ("; ".join(sorted(items.values())) or "none" for items in (before, after))
        yield Change(where="revocation", before=one, after=other, direction="different")
    for where, one, other in said_afterwards(old, new):
        yield Change(where=where, before=one, after=other, direction="different")


def _revocations(policy: PolicySet) -> dict[str, str]:
    """What is said of revoking, in the form that is compared, each with its words."""
    found: dict[str, str] = {}
    for part in policy.documents:
        rule = part.revocation
        if rule is None:
            continue
        asked = [f"{name}: {who.wanted}" for name, who in (("before", rule.before), ("during", rule.during)) if who]
        found |= dict(zip(asked, asked, strict=True))
        if rule.after is not None:
            chain, since = chain_text(part.chain(rule.after.chain)), f"for {written(rule.after.window)} after: "
            found[since + chain] = since + _chain(chain, detailed=True)
    return found


def _ages(policy: PolicySet) -> frozenset[str]:
    ages = [part.fact_ages.model_dump(mode="json") for part in policy.documents]
    return frozenset(f"{name} {value}" for item in ages for name, value in item.items() if value is not None)


def _newcomers(policy: PolicySet) -> frozenset[str]:
    every = [item.newcomers for item in policy.documents if item.newcomers is not None]
    return frozenset(f"{tier} {written(item.wait)}" for item in every for tier in item.tiers)


def _proofs(policy: PolicySet) -> frozenset[str]:
    """What is asked of proofs where: more of it is stricter where nothing else differs."""
    found = []
    for rule in (rule for part in policy.documents for rule in part.proofs):
        lists = (("", rule.tiers), ("in ", rule.environments), ("in stage ", rule.stages))
        where = " ".join(f"{word}{' or '.join(sorted(names))}" for word, names in lists if names)
        found += [f"{where or 'everywhere'}: {said}" for said in sayings(wanted_by_vote([rule]))]
    return frozenset(found)


def _peaks(policy: PolicySet) -> frozenset[str]:
    every = (item for part in policy.documents for item in part.calendars if item.kind == "peak")
    return frozenset(canonical(item.model_dump(mode="json", exclude={"id", "reason"})).decode() for item in every)


def _said(one: Form, other: Form, words: Mapping[str, str]) -> tuple[str, str]:
    """Before and after, in as few words as tell them apart."""
    for detailed in (False, True)[_hides(one, other) :]:
        before, after = (_parts(form, words, detailed=detailed) for form in (one, other))
        differing = [name for name in before if before[name] != after[name]]
        if differing:
            return (
                "; ".join(text for name in differing if (text := before[name])) or "nothing more",
                "; ".join(text for name in differing if (text := after[name])) or "nothing more",
            )
    return "the same words", "the same words, said in another order or to other people"


def _hides(one: Form, other: Form) -> bool:
    """Whether two chains differ and ask the same people, so that few words would not show it."""
    before, after = (
        {answer.chain for speech in form.speeches for answer in speech.answers if answer.chain} for form in (one, other)
    )
    short = [{_chain(text, detailed=False) for text in found} for found in (before - after, after - before)]
    return bool(short[0] & short[1])


def _parts(form: Form, words: Mapping[str, str], *, detailed: bool) -> dict[str, str]:
    if form.wall:
        return {"answer": "denied by a limit", "caps": "", "freezes": "", "noted": "", "exceptions": "", "glass": ""}
    caps = sorted(
        " and ".join(item[1:] or ("nothing",)) + (f" if `{item[0]}`" if item[0] else "") for item in form.caps
    )
    every = form.speeches
    freezes = sorted({words.get(item, item) for speech in every for item in speech.freezes})
    exceptions = sorted(_exception(item, words, detailed=detailed) for speech in every for item in speech.exceptions)
    glass = [_glass(speech.glass, words, detailed=detailed) for speech in every if speech.glass]
    if detailed:
        freezes = sorted({_calendar(item, words) for speech in every for item in speech.freezes})
    said = [_speech(speech, words, detailed=detailed) for speech in every]
    # Whoever allows adds nothing to what another document says.
    said = [text for text in said if text != "allowed"] or said
    return {
        "answer": ", and also ".join(said) or "denied, no rule",
        "caps": f"limited to {', '.join(caps)}" if caps else "",
        "freezes": f"frozen in {', '.join(freezes)}" if freezes else "",
        "noted": "; ".join(sorted(f"{item[0]} until {item[1]}: {item[3]}" for s in every for item in s.noted)),
        "exceptions": "; ".join(exceptions),
        "glass": "; ".join(glass),
    }


def _speech(speech: Speech, words: Mapping[str, str], *, detailed: bool) -> str:
    told = [_answer(answer, words, detailed=detailed) for answer in speech.answers]
    if not speech.answers or not speech.answers[-1].always:
        told.append("denied, no rule")
    text = ", otherwise ".join(told)
    hidden = sorted(item for item in speech.fails if f"`{item}`" not in text)
    return text + "".join(f", and denied if `{item}` has no answer" for item in hidden)


def _answer(answer: Answer, words: Mapping[str, str], *, detailed: bool) -> str:
    said = {Verdict.allow: "allowed", Verdict.deny: "denied"}.get(answer.verdict)
    if said is None:
        said = ("held for " if answer.verdict is Verdict.hold else "") + _chain(answer.chain, detailed=detailed)
    if answer.always:
        return said
    ways = sorted(" and ".join(sorted(_condition(*item, words) for item in way)) for way in answer.alternatives)
    return f"{said} {' or '.join(ways)}"


def _condition(kind: str, value: str, words: Mapping[str, str]) -> str:
    return f"if `{value}`" if kind == "when" else f"{kind} of {words.get(value, value)}"


def _exception(item: tuple[Any, ...], words: Mapping[str, str], *, detailed: bool) -> str:
    when, granted, day, expires, approved, answers, thawed = item
    said = ", otherwise ".join(_answer(answer, words, detailed=detailed) for answer in answers) or "unchanged"
    freezes = f", not frozen in {', '.join(sorted(words.get(one, one) for one in thawed))}" if thawed else ""
    until = f"from {granted} until {expires} by {', '.join(sorted(approved))}" if detailed else f"until {day}"
    return f"exception {until}{f' if `{when}`' if when else ''}: {said}{freezes}"


def _glass(glass: tuple[str, ...], words: Mapping[str, str], *, detailed: bool) -> str:
    """Whom a broken glass asks; in detail also for whom it is, how often, who reviews it, and what it lifts."""
    chain, review, dual, text, *lifted = glass
    asks = f"break-glass asks {_chain(chain, detailed=True)}"
    if not detailed:
        return asks
    told = json.loads(text)
    more = [f"for {Requirement.model_validate(told['who']).wanted}"] if told["who"] else []
    if budget := told["budget"]:
        more.append(f"{budget['count']} times in {budget['days']} days")
    more += [f"dual control by {_chain(dual, detailed=True)}"] if dual else []
    others = f" by {_chain(review, detailed=True)}" if review not in ("", chain) else ""
    more.append(f"reviewed within {told['review_within']}{others}")
    more += ["with a reason"] if told["reason_required"] else []
    more += [f"lifts {', '.join(_calendar(item, words) for item in lifted)}"] if lifted else []
    return f"{asks} ({'; '.join(more)})"


def _calendar(text: str, words: Mapping[str, str]) -> str:
    told = json.loads(text)
    dates = [*(f"and {day}" for day in told["rdates"]), *(f"not {day}" for day in told["exdates"])]
    often = [told["rrule"]] if told["rrule"] else []
    when = " ".join([told["start"], told["zone"], "for", told["duration"], *often, *dates])
    return f"{words.get(text, 'a calendar')} ({when})"


def _chain(text: str, *, detailed: bool) -> str:
    return ", then ".join(_stage(stage, detailed=detailed) for stage in json.loads(text))


def _stage(stage: Mapping[str, Any], *, detailed: bool) -> str:
    wanted = [f"{item['count']} of {Requirement.model_validate(item).wanted}" for item in stage["requirements"]]
    asked = (" and " if stage["mode"] == Mode.all_of else ", or ").join(wanted)
    if not detailed:
        return asked
    within, *more = times_of(stage)
    more += [f"{stage['outside_team']} from outside the team of who asks"] if stage["outside_team"] else []
    more += ["nobody above or below another"] if stage["separate_lines"] else []
    more += [f"newcomers wait {stage['newcomer_wait']}"] if stage["newcomer_wait"] else []
    more += sayings(wanted_by_vote(ProofDemand.model_validate(item) for item in stage.get("proofs", ())))
    more += ["escalated at once where nobody is left"] if stage["on_infeasible"] == "escalate" else []
    denied = f"denied by {stage['deny_threshold']}"
    return f"{asked} ({'; '.join((within, denied, *more))})"


def _direction(one: Form, other: Form) -> Direction:
    (low, high), (low_after, high_after) = _levels(one), _levels(other)
    if (low, high) != (low_after, high_after):
        if low_after >= low and high_after >= high:
            return "stricter"
        return "milder" if low_after <= low and high_after <= high else "different"
    walls, walls_after = _walls(one), _walls(other)
    if walls != walls_after and _lifts(one) == _lifts(other):
        return "stricter" if walls < walls_after else "milder" if walls_after < walls else "different"
    return "different"


def _levels(form: Form) -> tuple[int, int]:
    """How strict the answer is at its mildest and at its strictest."""
    if form.wall:
        return _WALL, _WALL
    if not form.speeches:
        return _DENIED, _DENIED
    found = [[_level(answer) for answer in speech.answers] for speech in form.speeches]
    ends = [
        levels[-1] if speech.answers and speech.answers[-1].always else _DENIED
        for levels, speech in zip(found, form.speeches, strict=True)
    ]
    return _together(ends), _together([max(levels, default=_DENIED) for levels in found])


def _together(levels: list[int]) -> int:
    """The strictest answer of several documents; where people are asked, those of all are."""
    if max(levels) >= _DENIED:
        return _DENIED
    return max(level // _BY_VERDICT for level in levels) * _BY_VERDICT + sum(level % _BY_VERDICT for level in levels)


def _level(answer: Answer) -> int:
    if not answer.verdict.asks:
        return _DENIED if answer.verdict is Verdict.deny else 0
    seats: int = sum(item["count"] for stage in json.loads(answer.chain) for item in stage["requirements"])
    return _BY_VERDICT * answer.verdict.strictness + seats


def _walls(form: Form) -> frozenset[Any]:
    return form.caps | frozenset(item for speech in form.speeches for item in speech.freezes)


def _lifts(form: Form) -> frozenset[Any]:
    return frozenset(item for speech in form.speeches for item in speech.exceptions)
