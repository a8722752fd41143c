"""The policy document: versioned YAML, identified by the digest of its bytes (`docs/spec/policy-document.md`).

- A text holds one document or several: those of the root, the organisation and its teams. All of them are in force
  together (`policy/rules/composition.py`).
- Rules, limits, calendars, exceptions and break-glass have ids, and an id names one thing in the whole text.
- What a rule or a stage names is there: chains, windows, hours, what an exception lifts. Conditions are checked here,
  not at run time.
- A rule that observes or warns says from when it enforces. Limits always do.
- A document of a team says what it covers, and speaks of nothing else.
- Targets are catalog references (`[kind:][namespace/]name`, kind component and namespace default unless given).
- A permit is good for an hour at most: what was checked must still be so.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from policy.base import EdgeModel, Name, Text
from policy.catalogs.parts import ToldApart, told_apart
from policy.errors import DocumentError, explain
from policy.facts import Facts
from policy.governed import Metadata, read_documents
from policy.operations import RegisteredOperation, RiskTier
from policy.rules.admission import AdmissionLimit
from policy.rules.afterwards import Amendments, Compensation, Inconclusive, Unresolved
from policy.rules.aggregate import AggregateLimit
from policy.rules.calendars import Calendar
from policy.rules.chains import MAX_STAGES, ApprovalChain, EscalationStep, Requirement, Stage, Verdict
from policy.rules.conditions import PersonCondition
from policy.rules.drifting import DriftRules, strictest
from policy.rules.durations import PositiveDuration, written
from policy.rules.exceptions import BreakGlass, PolicyException
from policy.rules.halting import HaltRule
from policy.rules.hours import Hours
from policy.rules.limits import Limit
from policy.rules.match import Effect, Match, Scoped, Where
from policy.rules.revocation import Revocation
from policy.rules.stepping_up import ProofRule
from policy.rules.unsigned import UnsignedRule

# What waits for people imports these from `policy.rules.chains`; the rest of the house reads them here, with the
# document.
__all__ = [
    "MAX_STAGES",
    "ApprovalChain",
    "EscalationStep",
    "Match",
    "PolicyDocument",
    "PolicySet",
    "Requirement",
    "Rule",
    "Stage",
    "Verdict",
    "read_policy",
]

MAX_PERMIT_TTL = timedelta(hours=1)
# A rule that observes for longer was never meant to enforce.
MAX_OBSERVING = timedelta(days=366)


class Scope(StrEnum):
    """Whose document it is, and its place in the order of several."""

    root = "root"
    organisation = "organisation"
    team = "team"


class PolicyMetadata(Metadata):
    """What a policy says of itself. `authors` are person ids; they do not approve what their document asks about.

    `covers` is what a team's document speaks of. `controls` are ids of NIST 800-53 (`cm-3`), or text for other
    frameworks.
    """

    authors: tuple[Name, ...] = ()
    controls: tuple[Text, ...] = ()
    scope: Scope = Scope.organisation
    covers: Where | None = None
    review_by: date | None = None

    @model_validator(mode="after")
    def _covered(self) -> "PolicyMetadata":
        if (self.scope is Scope.team) != (self.covers is not None):
            raise ValueError("covers belongs to scope team, and only to it")
        return self


class Enforcement(StrEnum):
    """Whether a rule's answer counts, or is only recorded (`observe`) or recorded and shown (`warn`)."""

    observe = "observe"
    warn = "warn"
    enforce = "enforce"


class ChainChoice(EdgeModel):
    """One of the chains of a rule, and what it is for; a choice of nothing but a chain fits everything."""

    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)] | None = None
    owners: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    effects: Annotated[tuple[Effect, ...], Field(min_length=1)] | None = None
    environments: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    chain: Name

    def fits(self, operation: RegisteredOperation, facts: Facts, tier: RiskTier) -> bool:
        """Whether every list that it gives contains the action's value."""
        return (
            (self.tiers is None or tier in self.tiers)
            and (self.owners is None or facts.target_owner in self.owners)
            and (self.effects is None or not set(self.effects).isdisjoint(operation.effects))
            and (self.environments is None or facts.target_environment in self.environments)
        )


class Rule(Scoped):
    """What a policy says of the operations that it matches.

    Outside of all of its `windows` its verdict is `outside`. `enforce_from` is the first day (UTC) on which an
    observing or warning rule enforces.
    """

    id: Name
    verdict: Verdict
    chain: Name | Annotated[tuple[ChainChoice, ...], Field(min_length=1, max_length=50)] | None = None
    windows: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    outside: Literal[Verdict.hold, Verdict.deny] | None = None
    enforcement: Enforcement = Enforcement.enforce
    enforce_from: date | None = None
    controls: tuple[Text, ...] = ()
    review_by: date | None = None
    incidents: tuple[Text, ...] = ()
    reason: Text = ""

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        if self.match is None and self.when is None:
            raise ValueError(f"rule {self.id}: give it match, when or both: without them it would match everything")
        if (self.windows is None) != (self.outside is None):
            raise ValueError(f"rule {self.id}: windows and outside belong together")
        if (self.verdict.asks or self.outside is Verdict.hold) != (self.chain is not None):
            raise ValueError(f"rule {self.id}: a chain belongs to require_approval and hold, and only to them")
        if (self.enforcement is Enforcement.enforce) != (self.enforce_from is None):
            raise ValueError(f"rule {self.id}: enforce_from belongs to observe and warn, and they cannot do without it")
        return self

    @property
    def choices(self) -> tuple[ChainChoice, ...]:
        """The chains that it names, in order."""
        if isinstance(self.chain, str):
            return (ChainChoice(chain=self.chain),)
        return self.chain or ()

    def observes_too_long(self, at: datetime) -> bool:
        """Whether, from an instant on, it would observe or warn for longer than a document may be published to."""
        return self.enforce_from is not None and datetime.combine(self.enforce_from, time(), UTC) - at > MAX_OBSERVING

    def enforced(self, at: datetime | None) -> bool:
        """Whether its answer counts at an instant; where nobody knows the time it does."""
        if self.enforce_from is None or at is None:
            return True
        return at >= datetime.combine(self.enforce_from, time(), UTC)


class FactAges(EdgeModel):
    """How old a fact may be before it counts as stale and raises the risk."""

    catalog: PositiveDuration | None = None
    directory: PositiveDuration | None = None
    slo: PositiveDuration | None = None


def _conditions_checked(chain: ApprovalChain) -> ApprovalChain:
    """A chain whose conditions on people were checked; each that is wrong is an error at its own place."""
    wrong = []
    for number, stage in enumerate(chain.stages):
        asked = [(("requirements", at), item) for at, item in enumerate(stage.requirements)]
        for where, item in [*asked, *([(("release",), stage.release)] if stage.release is not None else [])]:
            try:
                PersonCondition.compile(item.when) if item.when is not None else None
            except DocumentError as error:
                said = PydanticCustomError("condition", "{why}", {"why": str(error)})
                wrong.append(InitErrorDetails(type=said, loc=("stages", number, *where, "when"), input=item.when))
    if wrong:
        raise ValidationError.from_exception_data("ApprovalChain", wrong)
    return chain


class Newcomers(EdgeModel):
    """For so long nobody approves an action of these tiers by what they have only just come to hold."""

    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)]
    wait: PositiveDuration


class PolicyDocument(EdgeModel):
    """One document of a policy."""

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["PolicyDocument"]
    metadata: PolicyMetadata
    absolute_deadline: PositiveDuration = timedelta(days=7)
    permit_ttl: PositiveDuration = timedelta(minutes=5)
    max_directory_age: PositiveDuration | None = None
    newcomers: Newcomers | None = None
    proofs: Annotated[tuple[ProofRule, ...], Field(max_length=100)] = ()
    unsigned: Annotated[tuple[UnsignedRule, ...], Field(max_length=100)] = ()
    fact_ages: FactAges = FactAges()
    drift: DriftRules | None = None
    limits: tuple[Limit, ...] = ()
    admission: Annotated[tuple[AdmissionLimit, ...], Field(max_length=100)] = ()
    aggregate: Annotated[tuple[AggregateLimit, ...], Field(max_length=100)] = ()
    calendars: Annotated[tuple[Calendar, ...], Field(max_length=100)] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    exceptions: tuple[PolicyException, ...] = ()
    break_glass: tuple[BreakGlass, ...] = ()
    chains: dict[Name, Annotated[ApprovalChain, AfterValidator(_conditions_checked)]] = {}
    hours: Annotated[dict[Name, Hours], Field(max_length=100)] = {}
    revocation: Revocation | None = None
    unresolved: Unresolved | None = None
    amendments: Amendments | None = None
    compensation: Compensation | None = None
    inconclusive: Inconclusive | None = None
    halt: HaltRule | None = None

    @field_validator("permit_ttl")
    @classmethod
    def _brief(cls, value: timedelta) -> timedelta:
        if value > MAX_PERMIT_TTL:
            raise ValueError(f"is {written(value)}, a permit may wait 1h at most: the gate is asked again after it")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "PolicyDocument":
        if twice := sorted(name for name, count in Counter(self.ids()).items() if count > 1):
            raise ValueError(
                f"id {twice[0]} is used twice among limits and rules, calendars, exceptions, break_glass, admission, "
                "aggregate"
            )
        for where, kind, name, known in self._references():
            if name not in known:
                raise ValueError(f"{kind} {name} is named by {where} and not defined")
        return self

    def ids(self) -> Iterator[str]:
        """Every id that an answer may name."""
        named = (self.calendars, self.exceptions, self.break_glass, self.admission, self.aggregate)
        for items in (self.limits, self.rules, *named):
            yield from (item.id for item in items)

    def _references(self) -> Iterator[tuple[str, str, str, set[str]]]:
        """Who names what, and among which it must be."""
        chains, rules = set(self.chains), {rule.id for rule in self.rules}
        windows = {item.id for item in self.calendars if item.kind == "window"}
        freezes = {item.id for item in self.calendars if item.kind == "freeze"}
        for rule in self.rules:
            yield from (("a rule", "chain", choice.chain, chains) for choice in rule.choices)
            yield from ((f"rule {rule.id}", "window", name, windows) for name in rule.windows or ())
        for lifting in self.exceptions:
            yield from ((f"exception {lifting.id}", "rule or freeze", name, rules | freezes) for name in lifting.lifts)
        for glass in self.break_glass:
            yield from ((f"break_glass {glass.id}", "chain", name, chains) for name in glass.chains)
            yield from ((f"break_glass {glass.id}", "freeze", name, freezes) for name in glass.lifts_freezes)
        for chain in self.chains.values():
            for stage in chain.stages:
                names = (name for name in (stage.hours, stage.remind_hours) if isinstance(name, str))
                yield from ((f"stage {stage.name}", "hours", name, set(self.hours)) for name in names)
        if self.revocation is not None and self.revocation.after is not None:
            yield ("revocation.after", "chain", self.revocation.after.chain, chains)
        yield from (("unresolved or amendments", "chain", name, chains) for name in self.chains_afterwards)

    def chain(self, name: str) -> ApprovalChain:
        """A chain by its name, with the hours that its stages name put in."""
        return self.chains[name].with_hours(self.hours)

    @property
    def chains_afterwards(self) -> tuple[str, ...]:
        """The chains of people who say how an action ended."""
        named = (self.unresolved.chain if self.unresolved else None, self.amendments.chain if self.amendments else None)
        return tuple(name for name in named if name is not None)

    def rules_about(self, operation: str) -> tuple[Rule, ...]:
        """The rules whose list of operations names one, or which have none; looked for once an operation."""
        found = self._rules_about.get(operation)
        if found is None:
            lists = ((rule, rule.match.operations if rule.match else None) for rule in self.rules)
            found = tuple(rule for rule, names in lists if names is None or operation in names)
            self._rules_about[operation] = found
        return found

    @cached_property
    def _rules_about(self) -> dict[str, tuple[Rule, ...]]:
        return {}

    def speaks_of(self, operation: RegisteredOperation, facts: Facts) -> bool:
        """Whether the document has anything to say of an operation at all."""
        return self.metadata.covers is None or self.metadata.covers.covers(operation, facts)


class PolicySet(EdgeModel):
    """The documents of one text, in force together: the root first, then the organisation, then its teams."""

    documents: Annotated[tuple[PolicyDocument, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "PolicySet":
        for what, names in (
            ("document", [item.metadata.name for item in self.documents]),
            ("id", [name for item in self.documents for name in item.ids()]),
        ):
            if twice := sorted(name for name, count in Counter(names).items() if count > 1):
                raise ValueError(f"{what} {twice[0]} occurs in two documents, give one of them another name")
        if sum(item.metadata.scope is Scope.root for item in self.documents) > 1:
            raise ValueError("two documents have scope root, give one of them another")
        return self

    @cached_property
    def told_apart(self) -> ToldApart:
        """By what its rules tell the parts of a target apart."""
        return told_apart(self)

    @cached_property
    def order(self) -> dict[str, int]:
        """The place of every id in the whole text, limits first within a document."""
        names = (name for document in self.documents for name in document.ids())
        return {name: number for number, name in enumerate(names)}

    @property
    def metadata(self) -> PolicyMetadata:
        """What the first document says of itself: the name and version of the whole."""
        return self.documents[0].metadata

    @property
    def absolute_deadline(self) -> timedelta:
        """The shortest of all documents."""
        return min(item.absolute_deadline for item in self.documents)

    @property
    def permit_ttl(self) -> timedelta:
        """The shortest of all documents."""
        return min(item.permit_ttl for item in self.documents)

    @property
    def max_directory_age(self) -> timedelta | None:
        """The shortest of all documents; None where none says one."""
        return min((item.max_directory_age for item in self.documents if item.max_directory_age), default=None)

    @property
    def directory_seconds(self) -> int | None:
        """The same in seconds."""
        return int(self.max_directory_age.total_seconds()) if self.max_directory_age is not None else None

    @property
    def drift(self) -> DriftRules | None:
        """What all documents say together of changes while people are asked; None where none of them says anything."""
        return strictest([item.drift for item in self.documents if item.drift is not None])


def read_policy(body: bytes) -> PolicySet:
    """Read the documents of a policy.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    found = read_documents(body, PolicyDocument)
    order = list(Scope)
    try:
        return PolicySet(documents=tuple(sorted(found, key=lambda item: order.index(item.metadata.scope))))
    except ValidationError as error:
        raise DocumentError(f"malformed PolicySet: {explain(error)}") from None
