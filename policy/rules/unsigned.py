"""Where a proposal may come unsigned: nowhere, unless the policy says so.

- A document says it by rules (`unsigned`). A rule speaks of the environments, operations, tiers and agents that it
  lists; a list that it does not give fits everything.
- Every operation of the action, the undos too, must be let through by every document that speaks of it: that has a rule
  whose lists match. Where none does, by every document there is.
- Whoever has a key or a workload in the directory is expected to sign. Only a rule that lists the agent lets it come
  unsigned all the same: leaving the signature out must not be a way around it.
- The environment is that of the catalog, and the tier what was assessed, for which being unsigned counts already.
- What may not come unsigned is not registered: whoever sends it takes nobody's proposal id.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from policy.base import EdgeModel, Name, Operation, Reason, RecordModel
from policy.operations import RegisteredOperation, RiskTier

if TYPE_CHECKING:
    from policy.document import PolicySet
    from policy.facts import Facts
    from policy.proposal import ActionProposal

UNSIGNED = "unsigned"


class UnsignedRule(EdgeModel):
    """What may come unsigned; a list that it does not give fits everything, but for agents that have a key."""

    environments: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] | None = None
    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)] | None = None
    agents: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None

    def lets(self, asked: "AskedUnsigned", operation: str) -> bool:
        """Whether it lets an operation of an unsigned proposal through."""
        named = self.agents is not None and asked.agent in self.agents
        return (
            (named or (self.agents is None and not asked.expected))
            and (self.environments is None or asked.environment in self.environments)
            and (self.operations is None or operation in self.operations)
            and (self.tiers is None or asked.tier in self.tiers)
        )


class AskedUnsigned(RecordModel):
    """What the rules are asked about an unsigned proposal.

    Attributes:
        agent: who proposes.
        expected: whether a signature of it is expected.
        environment: of the target, by the catalog.
        tier: as assessed.
        operations: all of them, each with the names of the documents that are asked about it.
    """

    agent: str
    expected: bool
    environment: str | None
    tier: RiskTier
    operations: dict[str, tuple[str, ...]]


def asked_unsigned(
    policy: "PolicySet", proposal: "ActionProposal", facts: "Facts", tier: RiskTier
) -> AskedUnsigned | None:
    """What the rules are asked; None where it is signed, or an earlier release did not look."""
    signature = facts.signature
    if signature is None or not signature.unsigned:
        return None
    return AskedUnsigned(
        agent=proposal.agent.id,
        expected=signature.expected,
        environment=facts.target_environment,
        tier=tier,
        operations={name: _documents(policy, facts, facts.operation(name), tier) for name in proposal.operations},
    )


def _documents(policy: "PolicySet", facts: "Facts", operation: RegisteredOperation, tier: RiskTier) -> tuple[str, ...]:
    """The documents that are asked about an operation: those with a rule that its lists match, or all of them."""
    speak = (
        document.metadata.name
        for document in policy.documents
        if document.speaks_of(operation, facts)
        and any(
            rule.match is None or rule.match.matches(operation, facts, tier)
            for rule in document.rules_about(operation.name)
        )
    )
    return tuple(speak) or tuple(document.metadata.name for document in policy.documents)


def unsigned_refusals(policy: "PolicySet", asked: AskedUnsigned | None) -> tuple[Reason, ...]:
    """Why an unsigned proposal is not taken; nothing where it is, or where nothing is asked. Pure."""
    if asked is None:
        return ()
    found = dict.fromkeys(_problems(policy, asked))
    return tuple(Reason(code=UNSIGNED, message=message) for message in found)


def _problems(policy: "PolicySet", asked: AskedUnsigned) -> Iterator[str]:
    rules = {item.metadata.name: item.unsigned for item in policy.documents}
    where = f"{asked.tier} in {asked.environment or 'an environment that nobody knows'}"
    why = f"agent {asked.agent} is expected to sign: no rule of unsigned lists it" if asked.expected else "sign it"
    for operation, documents in asked.operations.items():
        for name in documents:
            if not any(rule.lets(asked, operation) for rule in rules.get(name, ())):
                yield f"{name} does not let {operation} come unsigned ({where}): {why}"
