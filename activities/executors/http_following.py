"""What an endpoint accepted, followed to its end: 202 with a status address, asked until it says how it ended.

1. The address (`Operation-Location`, or else `Location`) is of the same scheme, host and port that the order was sent
   to, and below the resource's own address, so that who answers there sends our login to nobody else's part of a shared
   host; any other is not asked, and nobody knows.
2. It is asked as often as the entry says, or as the answer says by `Retry-After`, within bounds, and never after the
   permitted time.
3. It is believed where it says how it ended. It may fail to answer a few times in a row; then nobody knows.
4. Told to stop, it is cancelled by the operator's own request and asked a little longer how it ended; or it is left,
   and nobody knows; or it goes on to its end. The entry says which.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urljoin, urlsplit

from activities.executors.base import EffectUnknownError, ExecutorError, PreconditionFailedError
from activities.executors.http_answers import TOO_MANY, State, retry_after, state_of
from activities.executors.http_client import Answer, HttpClient, HttpError, Request
from activities.executors.http_settings import Completion

_FAILURES = 5
_ADDRESS_LIMIT = 2000
_SERVER_FAULT = 500


@dataclass(frozen=True)
class Following:
    """How what was accepted is followed.

    Attributes:
        client: asks.
        base: the address of the resource, as the operator wrote it.
        completion: the entry.
        asked: the request that reads the status at an address.
        cancelling: the request that ends it, at a status address; None where there is none.
        stop: set when it is told to stop.
        deadline: the event loop's time, seconds, at which the permitted time ends.
        seconds: for one answer.
    """

    client: HttpClient
    base: str
    completion: Completion
    asked: Callable[[str], Request]
    cancelling: Callable[[str], Request] | None
    stop: asyncio.Event
    deadline: float
    seconds: float

    async def to_the_end(self, sent: Request, accepted: Answer) -> None:
        """Wait until it is done.

        Raises:
            PreconditionFailedError: it says that nothing was done.
            EffectUnknownError: nobody knows how it ended.
            ExecutorError: it went wrong.
        """
        address = status_address(sent.url, accepted, self.base)
        wait, deadline = self._wait(accepted), self.deadline
        watched = self.completion.stops_within
        failures = 0
        while failures < _FAILURES:
            if await self._stopped(wait, deadline, watched=watched):
                watched = False
                await self._stop(address, deadline)
                deadline = min(deadline, _time() + self.completion.stop_seconds)
                wait = min(self.completion.every_seconds, self.completion.stop_seconds / 4)
                continue
            state, answer = await self._look(address, deadline)
            if state != "running" and not (state == "unknown" and _may_recover(answer)):
                return _end(state, answer)
            failures = failures + 1 if state == "unknown" else 0
            wait = self._wait(answer) if answer is not None else self.completion.every_seconds
        raise EffectUnknownError(f"it was accepted, and its status address failed to answer {_FAILURES} times")

    async def _look(self, address: str, deadline: float) -> tuple[State, Answer | None]:
        try:
            left = min(self.seconds, max(0.01, deadline - _time()))
            answer = await self.client.send(self.asked(address), left, read=True)
        except HttpError:
            return "unknown", None
        return state_of(answer, self.completion.states), answer

    async def _stop(self, address: str, deadline: float) -> None:
        if self.cancelling is None:
            raise EffectUnknownError("it was accepted, and left when it was told to stop: it may go on")
        left = min(self.seconds, self.completion.stop_seconds, max(0.01, deadline - _time()))
        try:
            # Whatever it answers, what counts is how the operation ended.
            await self.client.send(self.cancelling(address), left, read=False)
        except HttpError as error:
            raise EffectUnknownError(f"it was accepted, and could not be cancelled: {error}") from error

    async def _stopped(self, seconds: float, deadline: float, *, watched: bool) -> bool:
        """Wait; whether a stop came meanwhile."""
        left = deadline - _time()
        if left <= 0:
            raise EffectUnknownError("it was accepted, and did not say within the permitted time how it ended")
        seconds = min(seconds, left)
        if not watched:
            await asyncio.sleep(seconds)
            return False
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _wait(self, answer: Answer) -> float:
        asked = retry_after(answer.headers, datetime.now(UTC))
        if asked is None:
            return self.completion.every_seconds
        return min(max(asked, self.completion.every_seconds / 4), self.completion.longest_wait_seconds)


def status_address(sent: str, accepted: Answer, base: str) -> str:
    """Where what was accepted says how far it is.

    Args:
        sent: the address that the order was sent to.
        accepted: the answer.
        base: what it has to be below: the address of the resource.

    Raises:
        EffectUnknownError: it says none, or one somewhere else.
    """
    given = accepted.headers.get("operation-location") or accepted.headers.get("location")
    if not given:
        raise EffectUnknownError("it was accepted, and the answer names no status address")
    try:
        found = urlsplit(urljoin(sent, given))
        mine, same = urlsplit(sent), found.port == urlsplit(sent).port
    except ValueError:
        mine, found, same = urlsplit(sent), urlsplit(""), False
    same = same and (found.scheme, found.hostname) == (mine.scheme, mine.hostname) and "@" not in found.netloc
    written = given.isascii() and given.isprintable() and not set(given) & set(' \\"<>') and len(given) < _ADDRESS_LIMIT
    if not (same and written):
        raise EffectUnknownError("it was accepted, and the status address is not of the host that it was sent to")
    if not _is_below(found.path, urlsplit(base).path):
        raise EffectUnknownError("it was accepted, and the status address is not below the address of the resource")
    return found._replace(netloc=mine.netloc, fragment="").geturl()


def _is_below(path: str, base: str) -> bool:
    """Whether a path is in the folder of another, as whoever decodes it once more would read it."""
    plain = unquote(path)
    if "%" in plain or "\\" in plain or any(part in (".", "..") for part in plain.split("/")):
        return False
    folder = base.rstrip("/") + "/"
    return f"{plain}/".startswith(folder)


def _may_recover(answer: Answer | None) -> bool:
    return answer is None or answer.status == TOO_MANY or answer.status >= _SERVER_FAULT


def _end(state: State, answer: Answer | None) -> None:
    if state == "done":
        return
    if state == "failed":
        raise ExecutorError("it was accepted, and says that it failed")
    if state == "refused":
        raise PreconditionFailedError("it was accepted, and says that nothing was done")
    status = answer.status if answer else "none"
    raise EffectUnknownError(f"it was accepted, and its status address answered with status {status}: no known state")


def _time() -> float:
    return asyncio.get_running_loop().time()
