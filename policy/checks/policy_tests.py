"""Cases beside a policy: proposals that somebody thought about, and what the policy must say of them.

- A case is evaluated as a real action is: facts are collected, the impact is assessed, the policy is evaluated. What
  only the record and the world could say is given by the case; the instant is given, too.
- A case says the verdict at least. What it does not say is not compared.
- A proposal is written in place or named by its file, with changes by path (`steps.0.parameters.value`). A change of
  `null` removes.
- Where a case does not say how old catalog and directory are, they are fresh.
- A misspelt observation is refused: a case that tests something else than it says is worse than none.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from policy.base import EdgeModel, Instant, Name, RecordModel, Text
from policy.catalog import Catalog
from policy.document import PolicySet
from policy.errors import DocumentError, ProposalError, explain
from policy.facts import collect
from policy.governed import Metadata, read_document
from policy.judging import Judgement, judge
from policy.observed import Observed
from policy.operations import OperationsRegistry, RiskTier
from policy.people.directory import Directory
from policy.proposal import receive
from policy.rules.chains import Verdict
from policy.supposing import supposed


class Expectation(EdgeModel):
    """What a policy must answer. `chain` are the names of its stages, in order; `reasons` codes that must be said."""

    verdict: Verdict
    tier: RiskTier | None = None
    chain: tuple[Name, ...] | None = None
    decided_by: Name | None = None
    reasons: tuple[Name, ...] = ()


class Case(EdgeModel):
    """One proposal and what is expected. `proposal` is a file, by its path beside this one, or the proposal itself."""

    name: Text
    proposal: Annotated[str, Field(min_length=1)] | dict[str, JsonValue]
    changes: dict[Text, JsonValue] = {}
    observed: dict[Name, JsonValue] = {}
    now: Instant | None = None
    expect: Expectation


class Paths(EdgeModel):
    """The documents that the cases are evaluated with, by their paths beside this one."""

    policy: Text
    operations: Text
    catalog: Text
    directory: Text


class PolicyTests(EdgeModel):
    """A file of cases. `now` is the instant of every case that does not give its own."""

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["PolicyTests"]
    metadata: Metadata
    documents: Paths
    now: Instant
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=10_000)]

    @model_validator(mode="after")
    def _once(self) -> "PolicyTests":
        names = [case.name for case in self.cases]
        if len(set(names)) != len(names):
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise ValueError(f"two cases are called {twice}: give each a name of its own")
        return self


class Difference(RecordModel):
    """One thing that was expected otherwise."""

    what: str
    expected: str
    found: str


class CaseResult(RecordModel):
    """What became of a case. Without differences it is as expected."""

    name: str
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]


def read_policy_tests(body: bytes) -> PolicyTests:
    """Read a file of cases.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, PolicyTests)


def run_case(
    case: Case,
    proposal: Any,
    *,
    policy: PolicySet,
    operations: OperationsRegistry,
    catalog: Catalog,
    directory: Directory,
    now: datetime,
) -> CaseResult:
    """Evaluate one case; pure.

    Args:
        case: what is asked and expected.
        proposal: the JSON value of the proposal, before the changes of the case.
        policy: the policy that is asked.
        operations: the operations registry.
        catalog: the targets.
        directory: the people.
        now: the instant, where the case does not give one.

    Raises:
        DocumentError: the case cannot be evaluated; names the case and what is wrong with it.
    """
    at = case.now or now
    try:
        received = receive(changed(proposal, case.changes))
        seen = _observed(case.observed, at)
    except (ProposalError, DocumentError) as error:
        raise DocumentError(f"case {case.name}: {error}") from None
    if seen.resolution is None:
        seen = seen.model_copy(update={"resolution": supposed(received.proposal, catalog, operations, at)})
    facts = collect(received.proposal, catalog=catalog, directory=directory, registry=operations, observed=seen)
    judged = judge(policy, received.proposal, facts, directory)
    reasons = tuple(f"{reason.code}: {reason.message}" for reason in judged.evaluation.reasons)
    return CaseResult(name=case.name, differences=tuple(_differences(case.expect, judged)), reasons=reasons)


def changed(value: Any, changes: Mapping[str, Any]) -> Any:
    """A JSON value with changes by path; the value itself stays as it was.

    Raises:
        DocumentError: a path leads nowhere.
    """
    for path, new in changes.items():
        value = _changed(value, path.split("."), new, path)
    return value


def _changed(value: Any, path: list[str], new: Any, whole: str) -> Any:
    part, *rest = path
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        found = _changed(value[int(part)], rest, new, whole) if rest else new
        items = [*value[: int(part)], found, *value[int(part) + 1 :]]
        return items if rest or new is not None else [*value[: int(part)], *value[int(part) + 1 :]]
    if not isinstance(value, dict) or (rest and part not in value):
        raise DocumentError(f"change {whole}: there is no {part} to change, write the path as steps.0.parameters.name")
    if not rest and new is None:
        return {name: item for name, item in value.items() if name != part}
    return {**value, part: _changed(value[part], rest, new, whole) if rest else new}


def _observed(given: Mapping[str, Any], at: datetime) -> Observed:
    fresh = {"at": at, "catalog_at": at, "directory_at": at}
    try:
        seen = Observed.model_validate({**fresh, **given})
    except ValidationError as error:
        raise DocumentError(f"observed: {explain(error)}") from None
    for path in _unread(given, seen.model_dump(mode="json")):
        raise DocumentError(f"observed.{path} is nothing that is observed: correct its name")
    return seen


def _unread(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """What was given and is not in what was read."""
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        for name, value in given.items():
            if name not in read:
                yield f"{path}{name}"
            else:
                yield from _unread(value, read[name], f"{path}{name}.")
    elif isinstance(given, list) and isinstance(read, list):
        for number, (value, found) in enumerate(zip(given, read, strict=False)):
            yield from _unread(value, found, f"{path}{number}.")


def _differences(expect: Expectation, judged: Judgement) -> Iterator[Difference]:
    evaluation, tier = judged.evaluation, judged.assessment.risk_tier
    stages = [stage.name for stage in evaluation.chain.stages] if evaluation.chain else []
    codes = {reason.code for reason in evaluation.reasons}
    if evaluation.verdict != expect.verdict:
        yield Difference(what="verdict", expected=expect.verdict, found=evaluation.verdict)
    if expect.tier is not None and tier != expect.tier:
        score = judged.assessment.risk_score
        yield Difference(what="tier", expected=expect.tier, found=f"{tier} (score {score})")
    if expect.chain is not None and list(expect.chain) != stages:
        yield Difference(what="chain", expected=_listed(expect.chain), found=_listed(stages))
    if expect.decided_by is not None and evaluation.decided_by != expect.decided_by:
        yield Difference(what="decided_by", expected=expect.decided_by, found=evaluation.decided_by or "no rule")
    if absent := [code for code in expect.reasons if code not in codes]:
        yield Difference(what="reasons", expected=_listed(absent), found=_listed(sorted(codes)))


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
