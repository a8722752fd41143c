"""A platform's own executor: a real Temporal worker, protected by the interceptor of `examples/executor`."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.connection import connect
from deploy.dev import Stack
from policy.permit import Direction, permit_id
from policy.permit_claims import claims_of
from signing.keys import generate
from signing.permits import sign_permit
from tests.unit.permitted import EXECUTOR, grounds, permit, standing_alone
from tests.unit.signed import AUDIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = generate("permit-1")
verifying, temporal = standing_alone("countersign_permit"), standing_alone("countersign_temporal")


@dataclass
class Platform:
    """A platform's worker, what it did, and how to ask it."""

    client: Client
    queue: str
    done: list[dict[str, Any]] = field(default_factory=list)
    fails: int = 0

    @activity.defn(name="orders.refund")
    async def refund(self, order: dict[str, Any]) -> str:
        self.done.append(order)
        if self.fails:
            self.fails -= 1
            raise ApplicationError("broke half-way")
        return f"refunded {order['parameters']['amount']}"

    async def ask(self, value: Any, name: str = "orders.refund", attempts: int = 1) -> Any:
        """Ask for an effect as a platform does; what came of it."""
        return await self.client.execute_activity(
            name,
            value,
            id=uuid4().hex,
            task_queue=self.queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=attempts, initial_interval=timedelta(milliseconds=1)),
        )

    async def refused(self, value: Any, name: str = "orders.refund", attempts: int = 1) -> str:
        """The code with which an effect is refused."""
        with pytest.raises(ActivityFailureError) as error:
            await self.ask(value, name, attempts)
        assert isinstance(error.value.cause, ApplicationError)
        return str(error.value.cause.type)


@pytest_asyncio.fixture(name="platform", scope="module", loop_scope="module")
async def _platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A worker that lets its activity run under a permit only; the two lines of the documentation."""
    client = await connect(address=stack.temporal_address, identity="platform")
    found = Platform(client, f"billing-{uuid4().hex}")
    keys = {"keys": [{**KEY.public, "kid": KEY.id}]}
    used = tmp_path_factory.mktemp("used") / "used.db"
    permits = temporal.PermitInterceptor(
        verifying.Verifier(keys, issuer=AUDIENCE, executor=EXECUTOR),
        verifying.SqliteStore(used),
        operations={"orders.give_back": "orders.refund"},
    )
    give_back = activity.defn(name="orders.give_back")(_give_back)
    with ThreadPoolExecutor(2) as threads:
        running = Worker(
            client,
            task_queue=found.queue,
            activities=[found.refund, give_back],
            interceptors=[permits],
            activity_executor=threads,
        )
        async with running:
            yield found


def _give_back(order: dict[str, Any]) -> str:
    """An activity that runs in a thread, and is not called like its operation."""
    return f"gave back {order['parameters']['amount']}"


def token(direction: Direction = Direction.do, *, key: Any = KEY, **changes: Any) -> str:
    """A permit that was issued a moment ago, for an action that nobody asked for before."""
    now = datetime.now(UTC)
    proposal = f"p-{uuid4().hex}"
    ends = now + timedelta(minutes=5) if direction is Direction.do else None
    made = permit(direction, proposal_id=proposal, permit_id=permit_id(proposal, 1, 1, direction))
    made = made.model_copy(update={"issued_at": now, "expires_at": ends})
    return sign_permit({**claims_of(made, grounds()), **changes}, key)


async def test_runs_under_a_good_permit(platform: Platform) -> None:
    """The activity gets what was permitted, whatever its caller wrote beside the permit."""
    value = {"permit": token(), "parameters": {"amount": "1000000"}, "resolved": ["orders/*"]}

    assert await platform.ask(value) == "refunded 12.50"

    order = platform.done.pop()
    assert (order["parameters"]["amount"], order["resolved"]) == ("12.50", ["orders/7", "orders/ü"])


async def test_an_activity_of_another_name_says_which_operation_it_is(platform: Platform) -> None:
    """And one that runs in a thread is protected, too."""
    assert await platform.ask({"permit": token()}, "orders.give_back") == "gave back 12.50"
    assert await platform.refused({"permit": token(operation="orders.delete")}, "orders.give_back") == "wrong_operation"


@pytest.mark.parametrize("value", [None, {}, {"permit": None}, "permit", [], {"order": 7}, 7], ids=repr)
async def test_runs_nothing_without_a_permit(platform: Platform, value: Any) -> None:
    """Whatever is sent in its place; what is no object at all does not even get that far."""
    assert await platform.refused(value) in {"no_permit", "None"}
    assert platform.done == []


def _edited() -> str:
    good, other = token().split("."), token(parameters={"amount": "1000000"}).split(".")
    return ".".join((good[0], other[1], good[2]))


REFUSED = {
    "edited": ("bad_signature", _edited),
    "signed by another key of that id": ("bad_signature", lambda: token(key=generate(KEY.id))),
    "signed by another key": ("unknown_key", lambda: token(key=generate("control-1"))),
    "expired": ("expired", lambda: token(exp=int(datetime.now(UTC).timestamp()) - 1)),
    "forwarded from another executor": ("wrong_audience", lambda: token(aud=f"{AUDIENCE}/payroll")),
    "forwarded from another installation": (
        "wrong_audience",
        lambda: token(iss="countersign/test", aud=f"countersign/test/{EXECUTOR}"),
    ),
    "for another operation": ("wrong_operation", lambda: token(operation="orders.delete")),
    "of a dry run": ("dry_run", lambda: token(dry_run=True)),
    "claimed only": ("assurance_not_accepted", lambda: token(assurance="claimed")),
    "no permit at all": ("malformed", lambda: "permit"),
}


@pytest.mark.parametrize(("code", "made"), REFUSED.values(), ids=REFUSED)
async def test_a_permit_that_is_none_runs_nothing(platform: Platform, code: str, made: Any) -> None:
    """Each is refused with its code, and the activity is not called."""
    assert await platform.refused({"permit": made()}, attempts=3) == code
    assert platform.done == []


async def test_a_permit_is_not_used_twice(platform: Platform) -> None:
    """Shown again, by the same caller or by another, alone or many at once: one effect."""
    shown = {"permit": token()}

    found = await asyncio.gather(*(platform.ask(shown) for _ in range(5)), return_exceptions=True)

    assert [item for item in found if isinstance(item, str)] == ["refunded 12.50"]
    assert await platform.refused(shown) == "reused"
    assert len(platform.done) == 1
    platform.done.clear()


async def test_a_step_that_broke_is_not_tried_again(platform: Platform) -> None:
    """Temporal's own retry of an effect is another attempt: nobody knows what the first one did."""
    platform.fails = 1

    assert await platform.refused({"permit": token()}, attempts=5) == "reused"

    assert len(platform.done) == 1
    platform.done.clear()


async def test_an_undo_that_broke_is_tried_again(platform: Platform) -> None:
    """Compensation goes on until it got through, under the same permit and the same activity."""
    platform.fails = 1

    assert await platform.ask({"permit": token(Direction.undo)}, attempts=5) == "refunded 12.50"

    assert [order["direction"] for order in platform.done] == ["undo", "undo"]
    platform.done.clear()


async def test_the_two_lines_are_those_of_the_documentation() -> None:
    """What the page shows is what stands at the head of the file."""
    text = (Path(__file__).parents[2] / "examples" / "executor" / "countersign_temporal.py").read_text()
    page = (Path(__file__).parents[2] / "docs" / "spec" / "permit.md").read_text()
    lines = [
        line.strip() for line in text.splitlines() if line.strip().startswith(("permits = Permit", "Worker(client"))
    ]

    assert len(lines) == 2
    assert all(line in page for line in lines)
