"""What the executor role believes: a permit that a key it was given signed, for this installation and this executor.

1. The record is not enough: whoever can write to it could write a permit. The signature is verified with public keys
   that the executor was started with, and it must say what the stored permit says, field by field.
2. What is high or critical and was asked of people carries their statements, and each of them is proved again by the
   directory of today: an approval by a key that was revoked meanwhile lets nothing happen any more.
3. What rests on an identity that was only claimed is refused, unless the process was started for that; and at a
   production target whatever else was set (`Settings.unsafe_claimed_production` is for local stacks and tests alone).
4. A halt ended where the statements of two people say so (`activities/halt_proofs.py`).
5. Every target is production of which nobody said that it is not, and every one is in an environment of that name.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import TOLERANCE
from activities.deciding import SaidBy
from activities.documents import Documents
from activities.halt_proofs import Releases as HaltReleases
from activities.proving import Prover
from activities.releases import Releases
from policy.base import Instant
from policy.canonical import parse_canonical
from policy.decision import Refusal, Vote, receive_decision, valid_at
from policy.errors import CountersignError
from policy.halting import HaltFact, halts_on, said_of
from policy.people.directory import Directory
from policy.permit import Permit
from policy.permit_claims import WITH_APPROVALS, audience_of, differing, issuer_of
from policy.proofs import Assurance, Domain, Principal
from policy.rules.chains import Verdict
from signing.jws import BadSignatureError, base64url
from signing.permits import PermitKeys, PermitRefusedError, verify_permit

Result = TypeVar("Result")

PRODUCTION = frozenset({"production", "prod"})
_INSTANT = TypeAdapter(Instant)
_ASKED = frozenset(str(item) for item in Verdict if item.asks)


@dataclass(frozen=True)
class ClaimedTargets:
    """Where an executor acts for identities that were only claimed: nowhere, unless it was started for that.

    Attributes:
        accepted: whether anywhere at all.
        others: the resource ids of which somebody said that they are not production.
        in_production: at production targets, too.
    """

    accepted: bool = False
    others: frozenset[str] = frozenset()
    in_production: bool = False

    def refusal(self, permit: Permit) -> str | None:
        """Why it does not act under a permit, or None."""
        if permit.assurance is not Assurance.claimed:
            return None
        if not self.accepted:
            return "the permit rests on an identity that was only claimed, and this executor accepts none"
        if self.in_production:
            return None
        if permit.environment in PRODUCTION:
            return f"the permit rests on an identity that was only claimed, and {permit.environment} is production"
        marked = [name for name in permit.resolved if name not in self.others]
        if not marked:
            return None
        return f"the permit rests on an identity that was only claimed, and target {marked[0]} is production"


class PermitTrust:
    """Verifies stored permits.

    Args:
        keys: by which they are believed.
        documents: the directory: which installation this is, and whose keys the approvers' are.
        prover: proves the approvers' statements.
        claimed: where claimed identities are enough.

    Attributes:
        releases: asks whether the holds that the record has as released are.
    """

    def __init__(self, keys: PermitKeys, documents: Documents, prover: Prover, claimed: ClaimedTargets) -> None:
        self._keys = keys
        self._documents = documents
        self._prover = prover
        self._claimed = claimed
        self.releases = Releases(documents, prover)
        self._halt_releases = HaltReleases(documents)

    async def halted(self, connection: AsyncConnection, halts: Iterable[HaltFact], permit: Permit) -> str | None:
        """By whom the environment of a permit is halted, in words; None where it is not, or two people released it."""
        return said_of(await self._halt_releases.in_force(connection, halts_on(halts, permit.environment)))

    async def check(self, connection: AsyncConnection, permits: Sequence[Permit], now: datetime) -> None:
        """Refuse what is not believed.

        Args:
            connection: reads the directory.
            permits: of one step, as stored, with their signatures.
            now: the instant (UTC).

        Raises:
            PermitRefusedError: why not.
            KeysWantedError: keys of an issuer must be fetched first (`with_keys`).
        """
        directory = await self._documents.directory_in_force(connection)
        proved: list[Any] = []
        for permit in permits:
            if permit.signed is None:
                raise PermitRefusedError("unsigned_permit", f"permit {permit.permit_id} is not signed")
            claims = self.read(permit.signed, directory, permit.executor, now)
            if different := differing(claims, permit, str(claims["iss"])):
                raise PermitRefusedError("permit_mismatch", f"the signed permit has another {', '.join(different)}")
            if (why := self._claimed.refusal(permit)) is not None:
                raise PermitRefusedError("assurance_not_accepted", why)
            if (approvals := _approvals(claims)) and approvals not in proved:
                await self._prove(approvals, claims, permit.assurance, directory)
                proved.append(approvals)

    def claims(self, signed: str) -> dict[str, Any]:
        """The claims of a permit that a key signed which is believed; whom it is for is not looked at.

        Raises:
            PermitRefusedError: it is none.
        """
        return verify_permit(signed, self._keys)

    def read(self, signed: str, directory: Directory | None, executor: str, now: datetime) -> dict[str, Any]:
        """The claims of a permit for an executor of this installation, signed by a key that is believed.

        Args:
            signed: the permit as a compact JWS.
            directory: in force: says which installation this is.
            executor: whom it must be for.
            now: the instant (UTC).

        Raises:
            PermitRefusedError: it is none.
        """
        claims = self.claims(signed)
        issuer = issuer_of(directory.audience if directory is not None else None)
        if claims.get("iss") != issuer:
            raise PermitRefusedError("wrong_issuer", f"iss is {claims.get('iss')!r:.80}, this installation is {issuer}")
        if claims.get("aud") != audience_of(issuer, executor):
            message = f"aud is {claims.get('aud')!r:.80}, this executor is {audience_of(issuer, executor)}"
            raise PermitRefusedError("wrong_audience", message)
        begins = claims.get("nbf")
        if type(begins) is not int or (now + TOLERANCE).timestamp() < begins:
            raise PermitRefusedError("permit_not_yet", f"the permit begins at nbf {begins!r:.40}, it is {now}")
        return claims

    async def with_keys(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something that verifies permits, and where keys of an issuer are missing, fetch them and do it again."""
        return await self._prover.with_keys(work)

    async def _prove(
        self, approvals: Sequence[Any], claims: Mapping[str, Any], least: Assurance, directory: Directory | None
    ) -> None:
        for item in approvals:
            if (why := await self._unproven(item, claims, least, directory)) is not None:
                raise PermitRefusedError("approval_unproven", f"an approval of the permit does not hold: {why}")

    async def _unproven(
        self, item: Mapping[str, Any], claims: Mapping[str, Any], least: Assurance, directory: Directory | None
    ) -> str | None:
        """Why a statement is no approval of what a permit lets be done, or none as strong as it says, or None."""
        try:
            value, seen_at = _statement(item), _INSTANT.validate_python(item["seen_at"])
            submission = receive_decision(value)
        except (CountersignError, KeyError, ValueError, TypeError) as error:
            return f"it is malformed: {error!s:.200}"
        about = (submission.vote, submission.proposal_id, submission.action_digest)
        if about != (Vote.approve, claims["proposal_id"], claims["action_digest"]):
            return f"decision {submission.decision_id} is no approval of this action"
        if directory is None:
            return "no directory is in force that knows whose it is"
        said_by = await self._prover.decided(value, submission, directory, seen_at)
        why = valid_at(submission, seen_at) or _by_nobody(said_by, least, directory)
        return f"decision {submission.decision_id}: {why[1]}" if why is not None else None


def _by_nobody(said_by: SaidBy, least: Assurance, directory: Directory) -> tuple[Refusal, str] | None:
    """Why a statement is by no person of the directory, or shows less than a permit says that it rests on, or None."""
    if not isinstance(said_by, Principal):
        return said_by
    if directory.resolve(said_by.identity) is None:
        return Refusal.unknown_person, f"identity {said_by.identity} is no person of the directory"
    if said_by.assurance.rank < least.rank:
        return Refusal.assurance_too_low, f"its proof shows {said_by.assurance}, the permit says {least}"
    return None


def _approvals(claims: Mapping[str, Any]) -> list[Any]:
    """The approvals that a permit carries.

    Raises:
        PermitRefusedError: it carries none, and has to.
    """
    approvals, resolution = claims.get("approvals", []), claims.get("resolution")
    asked = isinstance(resolution, dict) and resolution.get("verdict") in _ASKED
    owed = asked and claims.get("risk_tier") in WITH_APPROVALS
    if not isinstance(approvals, list) or (owed and not approvals):
        message = f"a permit of tier {claims.get('risk_tier')} that people approved carries no approval"
        raise PermitRefusedError("approval_unproven", message)
    return approvals


def _statement(item: Mapping[str, Any]) -> dict[str, Any]:
    """An approver's statement as it was received.

    Raises:
        BadSignatureError: the bytes are not those of a decision.
    """
    signed = base64url(item["signed"])
    value: dict[str, Any] = parse_canonical(signed)
    if value.pop("countersign", None) != Domain.decision:
        raise BadSignatureError("the signed bytes are of no decision")
    return {**value, "proof": item["proof"]}
