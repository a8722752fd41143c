"""The HTTP executor before a real server: what is sent, what an answer says, and what is followed."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    PreconditionFailedError,
    TargetChangedError,
    TargetUnreachableError,
)
from activities.executors.http import HttpExecutor
from policy.permit import Direction
from policy.targets import ResolvedTarget
from tests.integration.executors.flag_server import SECRET, TOKEN, FlagServer
from tests.integration.executors.flags import JOB, PLAIN, flag_executor, flag_order
from tests.integration.executors.http_harness import FLAG, RESOURCE, SET


async def test_what_is_sent_is_signed_has_a_key_and_carries_the_permit(server: FlagServer) -> None:
    await flag_executor(server).execute(flag_order())

    [(method, path, headers, body)] = server.requests
    assert (method, path, headers["host"]) == ("PUT", "/api/flags/checkout", f"127.0.0.1:{server.port}")
    assert headers["idempotency-key"] == '"permit-1"'
    assert headers["webhook-id"] == "permit-1"
    assert headers["countersign-permit"] == "the.signed.permit"
    assert json.loads(body) == {"on": True, "permit": "the.signed.permit"}


async def test_without_a_body_of_its_own_an_endpoint_gets_the_order_as_it_is_permitted(server: FlagServer) -> None:
    """Parameters, target and permit, in one object; a secret is looked up, whatever is named."""
    operation = {
        "parameters": {"flag": FLAG, "value": {"type": "boolean"}, "token": {"type": "string", "secret": True}},
        "call": {"path": "/jobs"},
    }
    executor = flag_executor(server, operations={"http.flag.set": operation}, secrets={"flags/token": "s3cr3t"})
    order = flag_order()

    with pytest.raises(EffectUnknownError, match="202"):
        await executor.execute(replace(order, parameters={**order.parameters, "token": "secret://flags/token"}))
    with pytest.raises(PreconditionFailedError, match="holds no secret other"):
        await executor.execute(replace(order, parameters={**order.parameters, "token": "secret://other"}))

    assert json.loads(server.requests[0][3]) == {
        "permit_id": "permit-1",
        "operation": "http.flag.set",
        "direction": "do",
        "resource": RESOURCE,
        "parameters": {"flag": "checkout", "value": True, "token": "s3cr3t"},
        "dry_run": False,
        "permit": "the.signed.permit",
    }
    assert "countersign-permit" not in server.requests[0][2]
    assert "s3cr3t" not in f"{executor!r} {executor.__dict__}"


ANSWERS: dict[str, tuple[list[str], bool, type[Exception] | None, int]] = {
    "done": ([], False, None, 1),
    "too many, then done": (["429", "429"], False, None, 3),
    "too many all the time": (["429"] * 9, False, TargetUnreachableError, 4),
    "unavailable, and the endpoint keeps answers": (["503"], True, None, 2),
    "unavailable, and it keeps none": (["503"], False, EffectUnknownError, 1),
    "refused after it was unavailable": (["503", "422"], True, EffectUnknownError, 2),
    "a fault": (["500"], True, EffectUnknownError, 1),
    "a bad gateway": (["502"], True, EffectUnknownError, 1),
    "malformed": (["400"], True, PreconditionFailedError, 1),
    "refused": (["422"], True, PreconditionFailedError, 1),
    "forbidden": (["403"], True, PreconditionFailedError, 1),
    "conflict": (["409"], True, TargetChangedError, 1),
    "precondition failed": (["412"], True, TargetChangedError, 1),
    "moved": (["301"], True, PreconditionFailedError, 1),
    "temporarily moved": (["307"], True, PreconditionFailedError, 1),
    "found": (["302"], True, EffectUnknownError, 1),
    "see other": (["303"], True, EffectUnknownError, 1),
    "a gateway's time-out": (["408"], True, EffectUnknownError, 1),
}


@pytest.mark.parametrize(("behaviour", "idempotent", "error", "sent"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_says_what_it_says_and_nothing_is_sent_again_that_might_act_twice(
    server: FlagServer, behaviour: list[str], idempotent: bool, error: type[Exception] | None, sent: int
) -> None:
    server.behaviour, server.location = list(behaviour), "/api/told"
    executor = flag_executor(server, operations={"http.flag.set": {**PLAIN, "idempotent": idempotent}})

    if error is None:
        await executor.execute(flag_order())
    else:
        with pytest.raises(error) as raised:
            await executor.execute(flag_order())
        assert type(raised.value) is error

    assert len(server.requests) == sent
    assert {path for _, path, _, _ in server.requests} == {"/api/flags/checkout"}
    assert server.effects.total() == (error is None)


async def test_what_lost_its_answer_is_not_sent_again_by_the_library(server: FlagServer) -> None:
    """aiohttp would send a PUT again, where the connection was closed without an answer."""
    server.behaviour = ["lose"]

    with pytest.raises(EffectUnknownError):
        await flag_executor(server).execute(flag_order())

    assert len(server.requests) == 1


async def test_an_answer_that_does_not_come_in_time_is_unknown(server: FlagServer) -> None:
    server.behaviour = ["hang"]
    executor = flag_executor(server, operations={"http.flag.set": {**PLAIN, "timeout_seconds": 0.2}})

    with pytest.raises(EffectUnknownError, match=r"within 0\.2 s"):
        await executor.execute(flag_order())
    assert server.effects.total() == 1


async def test_the_permitted_time_is_not_passed_by_waiting(server: FlagServer) -> None:
    """An endpoint that asks for more patience than is permitted is not asked again."""
    server.behaviour = ["429"] * 9
    started = time.monotonic()

    with pytest.raises(TargetUnreachableError):
        await flag_executor(server).execute(flag_order(seconds=0.5))

    assert time.monotonic() - started < 2


# What the status address answers, one after the other; and what comes of it.
JOBS: dict[str, tuple[list[Any], type[Exception] | None]] = {
    "done": (["running", "running", "done"], None),
    "failed": (["running", "failed"], ExecutorError),
    "refused": (["cancelled"], PreconditionFailedError),
    "a state that nobody knows": (["limbo"], EffectUnknownError),
    "a few faults, then done": ([500, 503, 429, "done"], None),
    "faults all the time": ([500], EffectUnknownError),
    "gone": ([404], EffectUnknownError),
    "a redirect": ([303], EffectUnknownError),
    "goes on for ever": (["running"], EffectUnknownError),
}


@pytest.mark.parametrize(("states", "error"), JOBS.values(), ids=JOBS)
async def test_what_was_accepted_is_followed_to_its_end(
    server: FlagServer, states: list[Any], error: type[Exception] | None
) -> None:
    server.jobs["permit-1"] = list(states)
    executor = flag_executor(server, operations={"http.job.run": JOB})
    order = flag_order("http.job.run", seconds=0.5 if states == ["running"] else 20)

    if error is None:
        await executor.execute(order)
    else:
        with pytest.raises(error) as raised:
            await executor.execute(order)
        assert type(raised.value) is error

    assert "/api/told" not in {path for _, path, _, _ in server.requests}
    assert await executor.observe(order) == "done"


LOCATIONS: dict[str, str] = {
    "another host": "http://169.254.169.254/latest/meta-data",
    "another port": "http://127.0.0.1:1/api/jobs/permit-1",
    "another scheme": "https://127.0.0.1/api/jobs/permit-1",
    "no scheme": "//169.254.169.254/x",
    "a user": "http://127.0.0.1@169.254.169.254/x",
    "a backslash": "/\\169.254.169.254/x",
    "a file": "file:///etc/passwd",
    "no address": "http://[::1",
    "very long": "/" + "x" * 3000,
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
async def test_a_status_address_elsewhere_is_not_asked(server: FlagServer, location: str) -> None:
    server.location = location

    with pytest.raises(EffectUnknownError, match="not of the host"):
        await flag_executor(server, operations={"http.job.run": JOB}).execute(flag_order("http.job.run"))
    assert len(server.requests) == 1


async def _stopped(executor: HttpExecutor, server: FlagServer) -> None:
    """Carry an order out that goes on for ever, and tell it to stop once it was asked how far it is."""
    order = flag_order("http.job.run", seconds=3)
    server.jobs["permit-1"] = ["running"]
    server.requests.clear()
    acting = asyncio.create_task(executor.execute(order))
    async with asyncio.timeout(5):
        while True:
            if len(server.requests) > 2:
                break
            await asyncio.sleep(0.01)
    order.stop.set()
    await acting


async def test_a_stop_cancels_by_the_operators_request_and_asks_how_it_ended(server: FlagServer) -> None:
    completion = {**JOB["completion"], "cancel": {"path": "/jobs/{order.permit_id}"}}
    for each in (completion, {**completion, "cancel": {}}):
        executor = flag_executor(server, operations={"http.job.run": {**JOB, "completion": each}})
        assert executor.supports.of("http.job.run").stops == "within"
        with pytest.raises(PreconditionFailedError, match="nothing was done"):
            await _stopped(executor, server)


async def test_a_stop_without_a_cancel_leaves_it_and_says_so_or_goes_on(server: FlagServer) -> None:
    leaving = {**JOB, "completion": {**JOB["completion"], "on_stop": "leave"}}
    executor = flag_executor(server, operations={"http.job.run": leaving})
    assert executor.supports.of("http.job.run").stops == "within"
    with pytest.raises(EffectUnknownError, match="left when it was told to stop"):
        await _stopped(executor, server)

    executor = flag_executor(server, operations={"http.job.run": JOB})
    assert executor.supports.of("http.job.run").stops == "between"
    with pytest.raises(EffectUnknownError, match="within the permitted time"):
        await _stopped(executor, server)
    assert server.cancelled == []


async def test_several_targets_are_acted_on_in_turn_each_under_a_key_of_its_own(server: FlagServer) -> None:
    """What is refused after another was done is done in part; a stop counts between them."""
    operation = {
        **SET,
        "call": {**SET["call"], "path": "/flags/{target.id}", "query": {"flag": "{flag}"}},
        "if_match": False,
    }
    executor = flag_executor(server, operations={"http.flag.set": operation})
    targets = tuple(ResolvedTarget(id=name, resource=RESOURCE, version="1") for name in ("a", "b"))
    order = flag_order(targets=targets)

    await executor.execute(order)
    seen = await executor.observe(order)
    server.behaviour = ["", "422"]
    with pytest.raises(ExecutorError, match="done for 1 of 2 targets") as partly:
        await executor.execute(replace(order, permit_id="permit-2"))
    order.stop.set()
    with pytest.raises(PreconditionFailedError, match="stopped before"):
        await executor.execute(order)

    assert sorted(server.effects) == ["permit-1.1", "permit-1.2", "permit-2.1"]
    assert seen == "done"
    assert type(partly.value) is ExecutorError
    for strange in (targets[0], ResolvedTarget(id="c", resource="http/others")):
        with pytest.raises(PreconditionFailedError):
            await executor.execute(replace(order, targets=(*targets, strange)))


async def test_a_resolved_version_is_a_precondition_but_for_the_undo_of_what_changed_it(server: FlagServer) -> None:
    executor = flag_executor(server, operations={"http.flag.set": SET})
    targets = await executor.resolve(Inquiry("http.flag.set", {"flag": "checkout", "value": True}, (RESOURCE,), "x"))
    order = flag_order(targets=targets)

    await executor.execute(order)
    undo = replace(order, permit_id="undo-1", direction=Direction.undo, parameters={"flag": "checkout", "value": False})
    await executor.execute(undo)

    sent = {
        headers["idempotency-key"]: headers.get("if-match")
        for method, _, headers, _ in server.requests
        if method == "PUT"
    }
    assert sent == {'"permit-1"': '"1"', '"undo-1"': None}
    assert (targets[0].environment, targets[0].state, server.on) == ("production", {"on": False}, False)


async def test_no_error_shows_a_credential_or_an_address(server: FlagServer) -> None:
    """Of whatever kind the failure is."""
    said = []
    for behaviour, order in (
        (["500"], flag_order()),
        (["400"], flag_order()),
        (["lose"], flag_order()),
        ([], flag_order(parameters={"flag": "a/b", "value": True})),
        ([], flag_order(parameters={"flag": "checkout"})),
    ):
        server.behaviour = list(behaviour)
        with pytest.raises(ExecutorError) as error:
            await flag_executor(server).execute(order)
        said.append(f"{error.value} {error.value.__cause__!r}")

    assert not [text for text in said if any(secret in text for secret in (SECRET, TOKEN, "/api/flags"))]
