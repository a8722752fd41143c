"""How many history events and bytes an action costs, next to the bare workflow with one activity.

Sizes are the serialised events as the server stores them. Nothing here depends on the machine's speed.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from bench.bare import QUEUE, BareAction, BareSignalled
from bench.documents import FIRST, SECOND
from bench.figures import table
from bench.stack import Bench, until
from bench.target import FOUND

ALLOWED_LIMIT, TWO_STAGES_LIMIT, DUE_LIMIT = 16, 40, 8
# One reminder and one escalation, the later one 2 s after the start (bench/documents.py).
_DUES = 2
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Size:
    """A closed history."""

    events: int
    size: int


async def measure_events(bench: Bench) -> str:
    """Measure each shape once; a table."""
    await bench.act()
    bare, signalled = await _bare(bench), await _bare_signalled(bench)
    allowed, two = await measure_allowed(bench), await measure_decided(bench, "two-stages", FIRST, SECOND)
    found = await _closed(await bench.propose("routine", FOUND))
    calm, impatient = await measure_decided(bench, "calm", FIRST), await _impatient(bench)
    due = Size(round((impatient.events - calm.events) / _DUES), round((impatient.size - calm.size) / _DUES))
    rows = [
        ["bare: one activity", bare.events, bare.size, ""],
        ["bare: one signal, one activity", signalled.events, signalled.size, ""],
        ["allowed action, effect read back", allowed.events, allowed.size, f"at most {ALLOWED_LIMIT}"],
        ["allowed action that is resolved before it is assessed and permitted", found.events, found.size, ""],
        ["one stage, one update", calm.events, calm.size, ""],
        ["two stages, two updates, no timer fired", two.events, two.size, f"at most {TWO_STAGES_LIMIT}"],
        ["each reminder or escalation more", due.events, due.size, f"at most {DUE_LIMIT}"],
    ]
    return table(["shape", "events", "bytes", "aim for events"], rows)


async def _bare(bench: Bench) -> Size:
    what = uuid4().hex
    handle = await bench.plain.start_workflow(BareAction.run, args=[what, 1], id=f"bare/{what}", task_queue=QUEUE)
    return await _closed(handle)


async def _bare_signalled(bench: Bench) -> Size:
    what = uuid4().hex
    handle = await bench.plain.start_workflow(BareSignalled.run, what, id=f"bare/{what}", task_queue=QUEUE)
    await until(lambda: _began(handle))
    await handle.signal(BareSignalled.approve)
    return await _closed(handle)


async def measure_allowed(bench: Bench) -> Size:
    return await _closed(await bench.propose("routine"))


async def measure_decided(bench: Bench, environment: str, *people: str) -> Size:
    handle = await bench.propose(environment)
    for person in people:
        await bench.decide(handle, await bench.submission(handle, person))
    return await _closed(handle)


async def _impatient(bench: Bench) -> Size:
    handle = await bench.propose("impatient")
    submission = await bench.submission(handle, FIRST)
    await until(lambda: _dues_fired(handle))
    await bench.decide(handle, submission)
    return await _closed(handle)


async def _dues_fired(handle: "WorkflowHandle[Any, Any]") -> bool:
    history = await handle.fetch_history()
    return sum(event.HasField("timer_fired_event_attributes") for event in history.events) == _DUES


async def _began(handle: "WorkflowHandle[Any, Any]") -> bool:
    """Whether its first task is done, so that what comes now finds it waiting."""
    history = await handle.fetch_history()
    return any(event.HasField("workflow_task_completed_event_attributes") for event in history.events)


async def _closed(handle: "WorkflowHandle[Any, Any]") -> Size:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await handle.result()
    history = await handle.fetch_history()
    return Size(len(history.events), sum(event.ByteSize() for event in history.events))
