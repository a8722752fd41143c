"""Who made a statement that arrived: its proof, verified with the keys that this process knows.

- The keys of an issuer are fetched when a token names one that is not known, and kept (`activities/issuer_keys.py`). A
  fetch goes over the network: an activity that runs locally gives up, and runs again on the queue.
- Whoever sends tokens that name keys which do not exist makes nobody fetch more often than every half minute.
- Where the issuer could not be asked, nobody can say whose the token is: it is refused as `unverifiable`.
- OpenSSH is asked outside of the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.deciding import SaidBy
from policy.decision import DecisionSubmission, Refusal
from policy.people.directory import Directory
from policy.proofs import Domain, OidcProof, Proof, SshProof
from signing.proving import KeysWantedError, Trust, UnprovenError, prove

Result = TypeVar("Result")


class IssuerKeys(Protocol):
    """The published keys of issuers, as far as they are known here."""

    @property
    def known(self) -> Mapping[str, Sequence[dict[str, Any]]]:
        """The keys by issuer, as JWKs."""

    def may_fetch(self, issuer: str) -> bool:
        """Whether it is time to fetch the keys of an issuer: not so soon after the last time."""

    def unreachable(self, issuer: str) -> str | None:
        """Why the keys of an issuer could not be fetched the last time; None where they could."""

    async def fetch(self, issuer: str) -> None:
        """Fetch the keys of an issuer; where it cannot be reached, what is known stays."""


class NoIssuerKeys:
    """Where no issuer is asked."""

    known: Mapping[str, Sequence[dict[str, Any]]] = {}

    def may_fetch(self, issuer: str) -> bool:
        del issuer
        return False

    def unreachable(self, issuer: str) -> str | None:
        del issuer
        return None

    async def fetch(self, issuer: str) -> None:
        del issuer


class Prover:
    """Verifies proofs.

    Args:
        accepts_claimed: whether a name that a client wrote is taken for one.
        issuer_keys: the keys of issuers.
    """

    def __init__(self, *, accepts_claimed: bool, issuer_keys: IssuerKeys | None = None) -> None:
        self.accepts_claimed = accepts_claimed
        self._keys: IssuerKeys = issuer_keys or NoIssuerKeys()

    async def prove(
        self,
        value: Mapping[str, Any],
        proof: Proof,
        directory: Directory,
        at: datetime,
        *,
        domain: Domain = Domain.decision,
    ) -> SaidBy:
        """Whoever made a statement, or why its proof does not show it.

        Args:
            value: the statement as received.
            proof: the same proof, as read.
            directory: whose key it is.
            at: when it was first seen (UTC).
            domain: what kind of statement it must be.

        Raises:
            KeysWantedError: keys must be fetched first (`with_keys`).
        """
        trust = Trust(directory, self._keys.known, accepts_claimed=self.accepts_claimed)
        try:
            if isinstance(proof, SshProof):
                return await asyncio.to_thread(prove, value, proof, domain, trust, at)
            return prove(value, proof, domain, trust, at)
        except UnprovenError as error:
            return error.why
        except KeysWantedError as error:
            if isinstance(proof, OidcProof) and self._keys.may_fetch(error.issuer):
                raise
            if (why := self._keys.unreachable(error.issuer)) is not None:
                return Refusal.unverifiable, f"{error}, and it cannot be asked: {why}; sign again in a minute"
            return Refusal.unknown_key, str(error)

    async def decided(
        self, value: Mapping[str, Any], submission: DecisionSubmission, directory: Directory, at: datetime
    ) -> SaidBy:
        """Whoever made a decision; as `prove`."""
        return await self.prove(value, submission.proof, directory, at)

    async def with_keys(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something that verifies proofs, and where keys of an issuer are missing, fetch them and do it again.

        Raises:
            ApplicationError: they are to be fetched, and this attempt runs locally: the queue has the time for it.
        """
        wanted: set[str] = set()
        while True:
            try:
                return await work()
            except KeysWantedError as error:
                if activity.in_activity() and activity.info().is_local:
                    raise ApplicationError(str(error), type="FetchesKeys", non_retryable=True) from None
                if error.issuer in wanted:
                    raise
                wanted.add(error.issuer)
                await self._keys.fetch(error.issuer)
