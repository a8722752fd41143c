"""Measuring by Prometheus: what a query may be made of, and which answers are a value."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.executors import kinds
from activities.executors.base import (
    Executor,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetCredentials,
)
from activities.executors.kinds import ExecutorSettingsError, make_executors
from activities.executors.prometheus import query_of
from activities.prometheus import ANSWER_BYTES, ANSWER_SECONDS
from policy.permit import Direction
from tests.integration.prometheus import Answers, answering, number, said, serving

QUERY = 'latency{service="$service"}'
ASKED = ProbeOrder("web.latency", {"service": "till"}, "web/till", QUERY, {"service": "string"}, "number")
NOTHING = said('{"status":"success","data":{"resultType":"vector","result":[]}}')


def _executor(url: str, **given: Any) -> Executor:
    entry = {"kind": "prometheus", "url": url, **given}
    return make_executors({"metrics": entry}, TargetCredentials({}))["metrics"]


async def _measured(answers: Answers, order: ProbeOrder = ASKED, **given: Any) -> Any:
    async with answering(answers) as url:
        return await _executor(url, **given).measure(order)


def _order(**said_of_it: Any) -> ProbeOrder:
    return ProbeOrder("web.latency", **{"parameters": {"service": "till"}, "resource": "web/till", **said_of_it})


def _now(value: str) -> Answers:
    """The value, and for `timestamp` the instant."""
    return lambda asked: number(str(datetime.now(UTC).timestamp()) if "timestamp" in asked else value)


async def test_one_finite_number_is_the_value() -> None:
    assert await _measured(_now("0.25")) == 0.25


TYPES: dict[str, tuple[str, str, Any]] = {
    "a number": ("number", "3", 3.0),
    "an integer": ("integer", "3", 3),
    "whether": ("boolean", "1", True),
    "nothing declared": ("", "2.5", 2.5),
}


@pytest.mark.parametrize(("reads", "given", "value"), TYPES.values(), ids=TYPES)
async def test_a_value_has_the_declared_type(reads: str, given: str, value: Any) -> None:
    found = await _measured(_now(given), _order(query=QUERY, reads=reads))

    assert (found, type(found)) == (value, type(value))


def _stale(value: str) -> Answers:
    long_ago = str((datetime.now(UTC) - timedelta(days=1)).timestamp())
    return lambda asked: number(long_ago if "timestamp" in asked else value)


NO_VALUE: dict[str, tuple[Answers, str]] = {
    "no data": (lambda _: NOTHING, "gives 0 numbers"),
    "several series": (lambda _: number("1", series=2), "gives 2 numbers"),
    "not a number": (_now("NaN"), "gives NaN"),
    "without end": (_now("+Inf"), r"gives \+Inf"),
    "a sample that is too old": (_stale("1"), r"its sample is \d{5} s old"),
    "an answer for another instant": (lambda _: number("1", at=1_000_000_000.0), "s old: check the scrape"),
    "one from the future": (lambda _: number("4e9", at=4_000_000_000.0), "from the future"),
    "a redirect": (lambda _: said("", "302 Found", location="http://127.0.0.1:1/"), "answers with status 302"),
    "giant": (lambda _: said("x" * (ANSWER_BYTES + 1)), "more than"),
    "broken off": (lambda _: said("{", content_length="99"), "broke its answer off"),
    "no json": (lambda _: said("<html>"), "gives no number"),
    "refused": (lambda _: said('{"error":"parse error"}', "400 Bad Request"), "status 400: 'parse error'"),
    "half": (_now("0.5"), "which is no integer"),
}


@pytest.mark.parametrize(("answers", "why"), NO_VALUE.values(), ids=NO_VALUE)
async def test_everything_else_is_no_value(answers: Answers, why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        await _measured(answers, _order(query=QUERY, reads="integer"))


async def test_a_slow_answer_is_no_value_and_is_not_waited_for() -> None:
    async with answering(_now("1"), pause=60) as url, asyncio.timeout(ANSWER_SECONDS + 3):
        with pytest.raises(ProbeError, match="no answer within"):
            await _executor(url).measure(ASKED)


async def test_nobody_there_is_no_value() -> None:
    with pytest.raises(ProbeError, match="cannot be asked"):
        await _executor("http://127.0.0.1:1").measure(ASKED)


WRITTEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "a label": ('up{job="$job"}', {"job": "a"}, 'up{job="a"}'),
    "one that would end its quotes": (
        'up{job="$job"}',
        {"job": 'a"} or vector(1) #'},
        'up{job="a\\"} or vector(1) #"}',
    ),
    "one that would escape them": ('up{job="$job"}', {"job": "a\\"}, 'up{job="a\\\\"}'),
    "a number anywhere": ("quantile($q, x)", {"q": 0.95}, "quantile(0.94999999999999996, x)"),
    "a whole number": ("topk($n, x)", {"n": 3}, "topk(3, x)"),
    "whether": ('x{on="${on}"}', {"on": True}, 'x{on="true"}'),
    "the resource": ('x{of="$resource"}', {}, 'x{of="web/till"}'),
    "the resource, whatever a parameter says": ('x{of="$resource"}', {"resource": "quiet"}, 'x{of="web/till"}'),
    "a dollar": ('x{of=~"a$$"}', {}, 'x{of=~"a$"}'),
}


@pytest.mark.parametrize(("query", "parameters", "asked"), WRITTEN.values(), ids=WRITTEN)
def test_parameters_stand_in_a_query_as_values(query: str, parameters: dict[str, Any], asked: str) -> None:
    assert query_of(_order(query=query, parameters=parameters)) == asked


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "without a query": ("", {}, "has no query"),
    "a text outside of quotes": ("rate(x[$window])", {"window": "5m"}, "outside of quotes"),
    "within other quotes": ("x{job='$job'}", {"job": "a"}, "outside of quotes"),
    "in a regular expression": ('x{job=~"$job"}', {"job": ".*"}, "in a regular expression"),
    "in one that excludes": ('x{job!~ "$job"}', {"job": "x"}, "in a regular expression"),
    "after a quoted part": ('x{a="b"} or $job', {"job": "y"}, "outside of quotes"),
    "a list": ('x{job="$job"}', {"job": ["a"]}, "neither a text nor a number"),
    "missing": ('x{job="$job"}', {}, "neither a text nor a number"),
}


@pytest.mark.parametrize(("query", "parameters", "why"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_could_change_what_is_asked_is_refused(query: str, parameters: dict[str, Any], why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        query_of(_order(query=query, parameters=parameters))


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no address": ({"url": "metrics"}, "url: .*is no http address"),
    "a name in it": ({"url": "http://me:hunter2@host"}, "url: .*is no http address"),
    "no time at all": ({"url": "http://host", "max_age_seconds": 0}, "max_age_seconds"),
}


@pytest.mark.parametrize(("given", "why"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_cannot_be_used_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ExecutorSettingsError, match=why) as error:
        make_executors({"metrics": {"kind": "prometheus", **given}}, TargetCredentials({}))

    assert "hunter2" not in str(error.value)


async def test_what_only_reads_carries_nothing_out() -> None:
    executor = _executor("http://127.0.0.1:1")
    order = Order("permit", Direction.do, "web.restart", {}, ("web/till",), timedelta(seconds=1))

    for asked in (executor.execute(order), executor.dry_run(order)):
        with pytest.raises(PreconditionFailedError, match="metrics only reads"):
            await asked
    with pytest.raises(PreconditionFailedError, match="metrics only reads"):
        await executor.resolve(Inquiry("web.restart", {}, ("web/till",), "production"))
    assert await executor.observe(order) == "unknown"
    assert executor.supports.operations == frozenset()


async def test_a_new_way_to_measure_is_a_file_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cloud's metrics need: a module with `make`, an entry in `KINDS`, and nothing that is changed elsewhere."""
    monkeypatch.setattr(kinds, "KINDS", {**kinds.KINDS, "clouds": "tests.integration.executors.clouds"})

    executor = make_executors({"clouds": {"kind": "clouds", "region": "moon-1"}}, TargetCredentials({}))["clouds"]

    assert await executor.measure(_order(query="Latency/p99")) == "Latency/p99 of web/till in moon-1"
    with pytest.raises(ExecutorSettingsError, match="surprise"):
        make_executors({"clouds": {"kind": "clouds", "region": "moon-1", "surprise": 1}}, TargetCredentials({}))


@pytest.fixture(name="real", scope="module")
def _real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with a latency of two services, one of which is not a number."""
    rules = ", ".join(
        f'{{record: latency, expr: "{expr}", labels: {{service: {service}}}}}'
        for service, expr in {"till": "vector(0.125)", "shop": "vector(NaN)"}.items()
    )
    with serving(tmp_path_factory.mktemp("prometheus"), f"[{rules}]") as url:
        yield url


@pytest.mark.chaos
async def test_a_real_prometheus_measures(real: str) -> None:
    """A number is read by its label; what is not there, is not a number, or is not a query, is no value."""
    executor = _executor(real)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ProbeError):
                assert await executor.measure(ASKED) == 0.125
                break
            await asyncio.sleep(0.1)

    wrong = {"nobody": "gives 0 numbers", "shop": "gives NaN", 'till"} or vector(1) #': "gives 0 numbers"}
    for service, why in wrong.items():
        with pytest.raises(ProbeError, match=why):
            await executor.measure(_order(query=QUERY, parameters={"service": service}))
    with pytest.raises(ProbeError, match="gives 2 numbers"):
        await executor.measure(_order(query="latency", parameters={}))
    with pytest.raises(ProbeError, match="status 400"):
        await executor.measure(_order(query="latency{", parameters={}))
    strict, old = _executor(real, max_age_seconds=1), _order(query='latency{service="$service"} offset 3s')
    async with asyncio.timeout(60):
        while "its sample is 3 s old" not in (said_of_it := await _refused(strict, old)):
            assert "gives 0 numbers" in said_of_it, said_of_it
            await asyncio.sleep(0.1)


async def _refused(executor: Executor, order: ProbeOrder) -> str:
    with pytest.raises(ProbeError) as error:
        await executor.measure(order)
    return str(error.value)
