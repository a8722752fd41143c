"""Claiming for an executor of the platform's own, which was handed a signed permit and cannot enforce that it is used
once (`docs/spec/permit.md`).

1. Whoever asks shows the permit itself. It must be the very one that the record has, and hold as for our own executors.
2. The claim is the one that `activities/claims.py` makes: one row, under the proposal's lock. The same attempt token
   gets the same answer however often it asks; another one is refused, and that is recorded.
3. A permit for an executor of this process is claimed by that one alone.
4. What came of it is not known here, and no step is handed to whoever claims like this. A platform's Temporal workers
   get steps from the executor `temporal`, which claims and reports for them (ADR 0025).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from temporalio import activity

from activities.attempt import Attempt
from activities.claims import Claimed, Claims, Refused
from activities.clock import Clock
from activities.database import Database
from activities.permit_trust import PermitTrust
from activities.permits import PermitError, step_permits
from policy.permit import Permit
from signing.permits import PermitRefusedError
from workflows.messages import ClaimRequest, ClaimResult
from workflows.ports import ClaimPort

_NAMESPACE = UUID("5d5c8f0b-2d51-5f0e-8a0c-3b9c5b0e6a11")
_BUDGET_SECONDS = 20.0
_LONGEST = 200


@dataclass(frozen=True)
class NamedAttempt(Attempt):
    """An attempt whose token the caller chose. It is the same in every process, and can never be that of ours."""

    @classmethod
    def of(cls, permit_id: str, token: str, worker: str, at: datetime) -> "NamedAttempt":
        """The attempt of whoever names this token for a permit, at an instant (UTC)."""
        name = str(uuid5(_NAMESPACE, f"{permit_id}/{token}"))
        run_id = activity.info().workflow_run_id if activity.in_activity() else None
        return cls(
            token=name,
            tokens=frozenset({name}),
            started_at=at,
            last=True,
            run_id=run_id,
            worker=worker,
            ends_at=_BUDGET_SECONDS,
            budget=_BUDGET_SECONDS,
        )

    def under(self, permit: Permit) -> "NamedAttempt":
        del permit
        return self


class ClaimActivities(ClaimPort):
    """Claims permits in the name of other executors.

    Args:
        database: the record, as the executor or application role.
        clock: tells whether a permit has expired.
        trust: which permits are believed.
        here: the names of the executors of this process, which claim by themselves.
        worker: who claims, as the record names it.
    """

    def __init__(self, database: Database, clock: Clock, trust: PermitTrust, here: frozenset[str], worker: str) -> None:
        self._database = database
        self._clock = clock
        self._trust = trust
        self._here = here
        self._worker = worker

    @activity.defn(name="claim")
    async def claim(self, request: ClaimRequest) -> ClaimResult:
        try:
            permit = await self._shown(request)
        except PermitRefusedError as error:
            return ClaimResult(status="refused", code=error.code, message=str(error))
        claims = Claims(self._database, self._clock, frozenset({permit.executor}), self._trust)
        attempt = NamedAttempt.of(permit.permit_id, request.attempt_token, self._worker, await self._clock.now())
        answer = await claims.claim(permit.permit_id, attempt, tried=True)
        if isinstance(answer, Claimed):
            return ClaimResult(status="claimed", permit_id=permit.permit_id, claimed_at=answer.at)
        if isinstance(answer, Refused):
            return ClaimResult(status="refused", permit_id=permit.permit_id, code=answer.code, message=answer.message)
        message = f"the permit was used, and its effect is reported as {answer.report.effect}"
        return ClaimResult(status="refused", permit_id=permit.permit_id, code="claimed_by_another", message=message)

    async def _shown(self, request: ClaimRequest) -> Permit:
        """The stored permit that a caller shows.

        Raises:
            PermitRefusedError: it is none that is believed, or not the one that the record has.
        """
        claims = self._trust.claims(request.permit)
        if not 0 < len(request.attempt_token) <= _LONGEST:
            raise PermitRefusedError("malformed_permit", f"attempt_token has 1 to {_LONGEST} characters")
        async with self._database.snapshot() as connection:
            try:
                permit, _ = await step_permits(connection, str(claims.get("jti")))
            except PermitError as error:
                raise PermitRefusedError("malformed_permit", str(error)) from None
        if permit is None:
            raise PermitRefusedError("unknown_permit", f"the record has no permit {claims.get('jti')!r:.80}")
        if permit.signed != request.permit:
            raise PermitRefusedError("permit_mismatch", "it is not the signed permit that the record has")
        if permit.executor in self._here:
            raise PermitRefusedError("unknown_executor", f"executor {permit.executor} claims its permits itself")
        return permit
