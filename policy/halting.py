"""Halting everything, one environment or one target: by one person at once, released by two.

- A halt is a row of the record. Wherever there is one that nobody released, nothing begins: the gate issues no permit,
  and no permit that was issued before is claimed. It counts whoever wrote it: a halt whose signature does not hold
  halts all the same and is shown as unproven. Stopping is cheap, going on is proved.
- What runs ends its step. Then the verb applies that was approved for a stop: it is undone, or left for people to look
  at. Undoing is never halted. What has not begun waits, and people may still approve; after the release the gate is
  asked again as always.
- A halt of one target is a hold on it: beside its row stands one of the holds that Countersign itself places, which
  binds as they do (`activities/held_targets.py`). Nothing repairs what a person holds, so only its release ends it.
  Whoever owns the target by the catalog may place one, too: an owner is no authority, and stopping asks for none.
- The statement is signed by a key of the directory, which alone verifies it: an issuer may be what is broken.
- Who may halt and release, the policy's `halt` says, of any document. Where none does, the operators of the executors
  of the directory; where there are none, nobody does by a statement.
- A release takes two people who may, each by a statement of their own that names the halt. One of them at least is not
  who halted. Two names of one person are one person.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from policy.approval.eligibility import fit
from policy.base import EdgeModel, Instant, Name, RecordModel, Text
from policy.document import PolicySet
from policy.errors import DocumentError
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import OfflineProof
from policy.receiving import receive_as
from policy.rules.chains import Requirement

# The ledger of halts. No proposal can have this id.
HALTS_LEDGER = "@halts"
LONGEST = timedelta(hours=1)
NEEDED = 2
# How many refused statements the ledger lists.
LISTED = 50
_SKEW = timedelta(minutes=1)
Verb = Literal["halt", "release"]


class HaltStatement(EdgeModel):
    """That everything stops, one environment or one target, or that a halt ends. `halt_id` is chosen by who halts."""

    audience: Name
    verb: Verb
    halt_id: Annotated[Name, Field(min_length=8, max_length=64)]
    environment: Name | None = None
    target: Annotated[Name | None, Field(exclude_if=lambda value: value is None)] = None
    reason: Annotated[Text, Field(min_length=1)]
    issued_at: Instant
    expires_at: Instant
    proof: OfflineProof

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not timedelta() < self.expires_at - self.issued_at <= LONGEST:
            raise ValueError("expires_at must be after issued_at and at most 1 hour later")
        if self.verb == "release" and (self.environment is not None or self.target is not None):
            raise ValueError("environment and target belong to verb halt: a release ends the halt that it names")
        if self.environment is not None and self.target is not None:
            raise ValueError("target is in an environment already: name one of the two")
        return self


class HaltFact(RecordModel):
    """A halt. `environment` is None where it is of everything, or of one `target`, which it holds.

    `released`: the record has a row of its end. That is believed only where it is proved (`activities/halt_proofs.py`).
    """

    halt_id: str
    environment: str | None = None
    target: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    placed_by: str
    placed_at: Instant
    reason: str = ""
    released: bool = False

    @property
    def says(self) -> str:
        """It in words, as a halt that is in force."""
        where = f"environment {self.environment}" if self.environment else "everything"
        how = f"target {self.target} is held" if self.target else f"{where} is halted"
        since = f"{how} by {self.placed_by} since {self.placed_at:%Y-%m-%dT%H:%M:%SZ}"
        return f"{since}{' (its release is not proved)' if self.released else ''}: {self.reason}"


def receive_halt(value: Any) -> HaltStatement:
    """Read a JSON value as a signed statement.

    Raises:
        DocumentError: names the field, the value and what was expected.
    """
    return receive_as(HaltStatement, value, "halt statement", DocumentError)


def halts_on(halts: Iterable[HaltFact], environment: str | None) -> tuple[HaltFact, ...]:
    """Those of some halts that concern an environment; where nobody knows it, all do. Holds on one target are none."""
    return tuple(
        item
        for item in halts
        if item.target is None and (item.environment is None or environment is None or item.environment == environment)
    )


def said_of(halts: Sequence[HaltFact]) -> str | None:
    """Some halts in words; None where there are none."""
    return "; ".join(item.says for item in halts[:5]) or None


def why_not(
    statement: HaltStatement,
    person: PersonFacts | None,
    policy: PolicySet,
    directory: Directory,
    at: datetime,
    owners: Sequence[Requirement] = (),
) -> tuple[str, str] | None:
    """Why a statement that verified does not count, as code and sentence, or None where it does; pure.

    Args:
        statement: what was signed.
        person: who signed it, as the directory has them now; None for nobody, or no person.
        policy: in force now.
        directory: in force now.
        at: when it was first seen (UTC).
        owners: who owns the target that it is about; they may place a hold on it, and not release one.
    """
    if statement.issued_at > at + _SKEW or at >= statement.expires_at:
        return "not_valid_now", f"it is valid from {statement.issued_at} to {statement.expires_at}: sign it anew"
    if person is None:
        return "unknown_person", "who signed it is nobody in the directory"
    rules = _rules(policy, statement.verb)
    if statement.verb == "halt" and any(fit(rule, person).fits for rule in owners):
        return None
    if not rules:
        operators = directory.operators
        if person.person_id in operators:
            return None
        wanted = ", ".join(operators) or "nobody: the policy and the directory name no one"
    elif any(fit(rule, person).fits for rule in rules):
        return None
    else:
        wanted = " or ".join(dict.fromkeys(rule.wanted for rule in (*rules, *owners)))
    return "not_authorized", f"{person.person_id} may not {statement.verb}: that is for {wanted}"


def _rules(policy: PolicySet, verb: Verb) -> list[Requirement]:
    found = [document.halt for document in policy.documents if document.halt is not None]
    return [rule.who if verb == "halt" else rule.release or rule.who for rule in found]


def missing(signers: Iterable[str], halted_by: str | None) -> str | None:
    """What a release still lacks, in words; None where it has everything; pure.

    Args:
        signers: the ids of those whose statements count.
        halted_by: the id of who halted; None where nobody proved that.
    """
    people = set(signers)
    if len(people) < NEEDED:
        return f"{NEEDED - len(people)} more of {NEEDED} people must sign the release"
    # With two different people, one at least is not who halted: kept as a rule for whoever changes the number.
    return None if people - {halted_by} else "somebody else than who halted must sign, too"
