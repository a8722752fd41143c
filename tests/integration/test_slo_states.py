"""Measured SLO states: what Prometheus says is kept with its instant, and what it does not say changes nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select
from temporalio.client import ScheduleOverlapPolicy
from temporalio.exceptions import ApplicationError

from activities.clock import SystemClock
from activities.documents import Documents
from activities.prometheus import ANSWER_BYTES, Prometheus, PrometheusError
from activities.schedules import SLO_SCHEDULE, ensure_schedules
from activities.slo_states import SloActivities
from activities.tables import SloStateRow
from deploy.dev import Stack
from tests.integration.observed import Past, objective, targets
from tests.integration.prometheus import answering, number, said, serving
from tests.replay.recording import recording
from workflows.interface import SLO_WORKFLOW, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

CATALOG = targets("shop", "till") + objective("answers", "shop") + objective("latency", "till")
QUERY = 'budget_left{slo="$name",target="$target"}'


@pytest_asyncio.fixture(name="past", scope="module", loop_scope="module")
async def _past(own_stack: Stack) -> AsyncIterator[Past]:
    async with recording(own_stack) as place:
        past = Past(place)
        await past.govern(CATALOG)
        yield past


def slos(past: Past, url: str) -> SloActivities:
    return SloActivities(past.place.database, Documents(), SystemClock(), Prometheus(url, QUERY))


async def states(past: Past) -> dict[str, list[float]]:
    """Every stored state by name, oldest first."""
    table = SloStateRow.__table__.c  # type: ignore[attr-defined]
    found: dict[str, list[float]] = {}
    async with past.place.database.snapshot() as connection:
        for row in await connection.execute(select(table.name, table.budget_left).order_by(table.measured_at)):
            found.setdefault(row.name, []).append(row.budget_left)
    return found


async def test_every_objective_is_measured_and_the_next_assessment_sees_it(past: Past) -> None:
    """One question an objective, each by its own name; what comes of it is observed."""
    asked: list[str] = []

    def answers(request: str) -> bytes:
        asked.append(request)
        return number("0.25" if "answers" in request else "-3")

    async with answering(answers) as url:
        measured = await slos(past, url).refresh_slo_states()

    shop, till = (await past.observed("shop")).slo_states, (await past.observed("till")).slo_states
    assert measured == len(asked) == 2
    assert [(item.name, item.budget_left, item.source) for item in (*shop, *till)] == [
        ("answers", 0.25, "prometheus"),
        ("latency", -3, "prometheus"),
    ]
    assert all(request.startswith("GET /api/v1/query?query=budget_left%7Bslo%3D%22") for request in asked)


async def test_what_cannot_be_measured_stays_as_old_as_it_is(past: Past) -> None:
    """One objective fails: it is named, the other one is refreshed, and the old state of the first is still there."""
    before = await states(past)

    async with answering(lambda request: number("NaN") if "answers" in request else number("0.5")) as url:
        with pytest.raises(ApplicationError, match="1 measured, 1 not: answers of resource:default/shop"):
            await slos(past, url).refresh_slo_states()

    after = await states(past)
    assert after["answers"] == before["answers"]
    assert after["latency"] == [*before["latency"], 0.5]


async def test_no_instant_of_a_server_makes_a_state_younger(past: Past) -> None:
    """A server whose clock is ahead dates nothing into the future."""
    ahead = (datetime.now(UTC) + timedelta(days=1)).timestamp()

    async with answering(lambda _: number("0.75", ahead)) as url:
        await slos(past, url).refresh_slo_states()

    (state,) = (await past.observed("shop")).slo_states
    assert state.budget_left == 0.75
    assert state.at <= datetime.now(UTC)


ONE = '{"status":"success","data":{"resultType":"scalar","result":[1, "%s"]}}'
BAD: dict[str, tuple[bytes, str]] = {
    "a redirect": (said("", "302 Found", Location="http://127.0.0.1:1/"), "status 302"),
    "an error of the api": (said('{"status":"error","error":"bad\\u001b[31m"}', "400 No"), r"status 400: 'bad\\x1b"),
    "an error that is none": (said("[" * 60_000, "500 No"), "status 500"),
    "too much": (said("x" * (ANSWER_BYTES + 1)), "more than 65536 bytes"),
    "broken off": (said(ONE % "0.5", Content_Length="4000"), "broke its answer off"),
    "in pieces": (said("0", Transfer_Encoding="chunked"), "in pieces"),
    "no http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no http answer"),
    "nothing": (b"", "no http answer"),
    "no json": (said("<html>"), "gives no number"),
    "deep json": (said("[" * 60_000), "gives no number"),
    "no result": (said('{"status":"success","data":{"resultType":"vector","result":[]}}'), "gives 0 numbers"),
    "another type": (said('{"status":"success","data":{"resultType":"matrix","result":[]}}'), "gives no number"),
    "an instant out of range": (said('{"status":"success","data":{"resultType":"scalar","result":[1e300,"1"]}}'), "no"),
    "infinite": (said(ONE % "-Inf"), "nothing is known by that"),
}


@pytest.mark.parametrize(("answer", "message"), BAD.values(), ids=BAD)
async def test_what_is_no_number_is_an_error(answer: bytes, message: str) -> None:
    """Whatever a server answers, it is one finite number or an error, and no redirect is followed."""
    async with answering(lambda _: answer) as url:
        with pytest.raises(PrometheusError, match=message):
            await Prometheus(url, "$name").ask("up")


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than the bound, and a port where nobody listens is an error at once."""
    monkeypatch.setattr("activities.prometheus.ANSWER_SECONDS", 0.2)
    async with answering(lambda _: b"", pause=5) as url:
        with pytest.raises(PrometheusError, match=r"no answer within 0\.2 s"):
            await Prometheus(url, "$name").ask("up")
    with pytest.raises(PrometheusError, match="cannot be asked"):
        await Prometheus("http://127.0.0.1:1", "$name").ask("up")


async def test_more_than_the_whole_budget_is_refused(past: Past) -> None:
    """A query that does not give a share is named as wrong, and nothing is stored."""
    before = await states(past)

    async with answering(lambda _: number("40")) as url:
        with pytest.raises(ApplicationError, match="prometheus gives 40: the share"):
            await slos(past, url).refresh_slo_states()

    assert await states(past) == before


async def test_no_name_leaves_its_quotes() -> None:
    """Names of a catalog are label values, whatever is in them."""
    asked = Prometheus("http://x", QUERY).query(name='a"} or vector(1) #', target="t\\\n", objective=0.999)

    assert asked == 'budget_left{slo="a\\"} or vector(1) #",target="t\\\\\\n"}'


async def test_it_runs_by_schedule_only_where_somebody_asked_for_it(past: Past) -> None:
    """Without a server there is no schedule, and a run measures nothing; with one it is made once."""
    client = past.place.client
    without = await ensure_schedules(client)
    with_it = [await ensure_schedules(client, slo_states=True) for _ in range(2)]
    found = await client.get_schedule_handle(SLO_SCHEDULE).describe()

    measured = await client.execute_workflow(SLO_WORKFLOW, id="slo-once", task_queue=TASK_QUEUE, result_type=int)

    assert SLO_SCHEDULE not in without
    assert with_it == [[SLO_SCHEDULE], []]
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert measured == 0


@pytest.fixture(name="prometheus", scope="module")
def _prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Prometheus on loopback with one recorded budget; its address."""
    labels = '{slo: answers, target: "resource:default/shop"}'
    rule = f"[{{record: budget_left, expr: vector(0.125), labels: {labels}}}]"
    with serving(tmp_path_factory.mktemp("prometheus"), rule) as url:
        yield url


@pytest.mark.chaos
async def test_a_real_prometheus_is_understood(past: Past, prometheus: str) -> None:
    """What a rule recorded is measured; the objective that no rule speaks of is named, and stays as it is."""
    await until(lambda: Prometheus(prometheus, QUERY).ask('budget_left{slo="answers"}'))
    before = await states(past)

    with pytest.raises(
        ApplicationError, match="1 measured, 1 not: latency of resource:default/till: prometheus gives 0"
    ):
        await slos(past, prometheus).refresh_slo_states()

    (state,) = (await past.observed("shop")).slo_states
    assert state.budget_left == 0.125
    assert datetime.now(UTC) - state.at < timedelta(minutes=1)
    assert (await states(past)).get("latency") == before.get("latency")
    with pytest.raises(PrometheusError, match=r"status 400: '.*parse error"):
        await Prometheus(prometheus, QUERY).ask("budget_left{")


async def until(ask: Callable[[], Awaitable[Any]]) -> None:
    """Until it answers; bounded."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(PrometheusError):
                await ask()
                return
            await asyncio.sleep(0.1)
