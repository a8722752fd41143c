"""What is done under one permit: all at once, or one target after the other, and what is measured.

1. What the criteria compare with what was before is read before anything is done; without it nothing is begun.
2. Target by target, each has an idempotency key of its own (the permit's id, a dot, its number), and the next one is
   begun only where every criterion of the last one, and every guard, was measured and met: what cannot be measured
   stops it, too. At the end everything is measured on all of them.
3. A stop is told to the effect that runs, which ends it where the executor says that it can. No further target is
   begun.
4. An undo acts on the targets that were touched and on no others, also where a step on all at once was refused
   half-way: the others may be somebody else's by now. Target by target the last one comes first; it goes on where one
   fails, and says which.
5. Where the answer to an effect was lost, the target is looked at once, where its executor knows an order by the key of
   its permit. Only what shows to be done is believed, and the report says that it was seen and not answered; "not
   done" means nothing, as it may be heard of yet.
6. An attempt that left no report is looked for target by target, by the same rule. Only where every target shows it is
   it done: of the first that does not show it nobody knows whether it was begun. What only looks as if it was done may
   be somebody else's, and is for people to say: nobody else's effect is ever undone.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from activities import criteria
from activities.acting import Acted, act, observe
from activities.attempt import asked_to_stop, uninterrupted
from activities.executors.base import Executor, Order, Reached
from policy.outcome import Baseline, Effect, Gate, Measurement
from policy.permit import Permit, part_key

STOPPED = "stopped"
# How long the target is looked at after a lost answer: as long as that, measuring may begin later.
LOOK = timedelta(seconds=10)
_MESSAGE_LIMIT = 500


@dataclass(frozen=True)
class Stepped:
    """What came of a permit: how it ended, and what a report says of it besides.

    `observed` is why there was no answer to what was then seen to be done; empty where every answer came.
    """

    acted: Acted
    measurements: tuple[Measurement, ...] = ()
    touched: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    ended: str = ""
    observed: str = ""


def orders_of(permit: Permit) -> dict[str, Order]:
    """The orders that a permit gives, in order, by the name of the target; one without a name for all at once."""
    whole = Order.under(permit)
    if not permit.one_by_one:
        return {"": whole}
    found = {}
    for number, name in enumerate(permit.parts, start=1):
        # The step had keys of its own for each target: what an undo undoes is one of these.
        undoes = part_key(whole.undoes, number) if whole.undoes is not None else None
        one = replace(whole, permit_id=part_key(whole.permit_id, number), undoes=undoes)
        if permit.targets:
            target = permit.targets[number - 1]
            found[name] = replace(one, resolved=(target.resource,), targets=(target,))
        else:
            found[name] = replace(one, resolved=(name,))
    return found


async def do(
    executors: Mapping[str, Executor], permit: Permit, ends_at: float, baselines: tuple[Baseline, ...]
) -> Stepped:
    """Act under the permit of a step and measure.

    Args:
        executors: those of this process by name.
        permit: what may be done.
        ends_at: the event loop's time, seconds, from which what is left is for the report.
        baselines: what was read before the first step.

    Raises:
        asyncio.CancelledError: it was done and not measured, and nobody asked to stop: to be observed.
    """
    executor, orders = executors[permit.executor], orders_of(permit)
    touched: list[str] = []
    gates: list[Gate] = []
    newest: dict[int, Measurement] = {}
    lost: list[str] = []
    begun = asyncio.get_running_loop().time()

    def ended(acted: Acted, measured: tuple[Measurement, ...] = ()) -> Stepped:
        return Stepped(acted, measured, tuple(touched), tuple(gates), baselines, observed="; ".join(lost))

    for number, (name, order) in enumerate(orders.items(), start=1):
        # What looking takes must not move a later target out of the window.
        look_by = begun + permit.longest * number / len(orders) if number < len(orders) else ends_at
        (acted, why), interrupted = await uninterrupted(_sure(executor, permit, order, look_by), order.stop.set)
        lost += [f"{name}: {why}" if name else why] if why else []
        touched += _touched(permit, name, acted)
        if acted.failed:
            return ended(_after(acted, name, touched))
        last = number == len(orders)
        if interrupted and asked_to_stop():
            return ended(Acted("done", STOPPED), _matrix(permit, newest, STOPPED))
        if interrupted and (permit.criteria or not last):
            raise asyncio.CancelledError
        if last:
            break
        pairs = _gating(permit, order)
        measured, interrupted = await criteria.measure(
            executors, permit, ends_at, baselines=baselines, pairs=[permit.measurable[at] for at in pairs]
        )
        newest |= dict(zip(pairs, measured, strict=True))
        gate = Gate(after=name, measurements=measured)
        gates.append(gate)
        if interrupted and not asked_to_stop():
            raise asyncio.CancelledError
        if interrupted or not gate.open:
            why = STOPPED if interrupted else criteria.failing(measured) or "nothing was measured"
            message = f"after {name}, {number} of {len(orders)} targets: {why}"
            return ended(Acted("done", message), _matrix(permit, newest, f"not measured: ended after {name}"))
    whole = await measured_after(executors, permit, ends_at, baselines)
    return replace(whole, touched=tuple(touched), gates=tuple(gates), observed="; ".join(lost))


async def _sure(executor: Executor, permit: Permit, order: Order, look_by: float) -> tuple[Acted, str]:
    """Carry an order out, and look for it where its answer was lost; why there was none, where it is seen to be done.

    `look_by` is the event loop's time, seconds, after which nobody looks any more.
    """
    acted = await act(executor, permit, order)
    if acted.effect != "unknown" or not _knows_its_own(executor, permit):
        return acted, ""
    left = look_by - asyncio.get_running_loop().time()
    if await observe(executor, order, min(left, LOOK.total_seconds())) != "done":
        return acted, ""
    return Acted("done"), acted.message


async def measured_after(
    executors: Mapping[str, Executor], permit: Permit, ends_at: float, baselines: tuple[Baseline, ...]
) -> Stepped:
    """What the criteria of an effect that is done read; arguments and errors as of `do`."""
    if not permit.criteria:
        return Stepped(Acted("done"), baselines=baselines)
    measurements, interrupted = await criteria.measure(executors, permit, ends_at, baselines=baselines)
    if interrupted and not asked_to_stop():
        raise asyncio.CancelledError
    message = STOPPED if interrupted else criteria.failing(measurements)
    return Stepped(Acted("done", message), measurements, baselines=baselines)


async def undo(executor: Executor, permit: Permit, touched: tuple[str, ...]) -> Stepped:
    """Undo what was done on the targets that were touched, the last one first; on all where the report names none."""
    orders = _on(permit, touched) if touched else orders_of(permit)
    names = list(reversed(orders))
    if not names:
        message = f"its step touched {', '.join(touched)}, of which its permit names none"
        return Stepped(Acted("none", message[:_MESSAGE_LIMIT]))
    found: dict[str, Acted] = {}
    for name in names:
        found[name], _ = await uninterrupted(act(executor, permit, orders[name]))
    undone = tuple(name for name in names if name and found[name].effect != "none")
    failed = {name: acted for name, acted in found.items() if acted.failed}
    if not names[0]:
        return Stepped(found[""], touched=_names(permit, found[""].touched))
    if not failed:
        return Stepped(Acted("done"), touched=undone)
    message = "; ".join(f"{name}: {acted.message}" for name, acted in failed.items())
    unknown = any(acted.effect == "unknown" for acted in failed.values())
    effect: Effect = "unknown" if unknown else "done" if undone else "none"
    again = any(acted.again for acted in failed.values())
    return Stepped(Acted(effect, message, again=again), touched=undone)


def _knows_its_own(executor: Executor, permit: Permit) -> bool:
    """Whether what shows at the target as done was done under this permit, and not by somebody else."""
    return executor.supports.of(permit.operation).observes == "by_key"


async def seen(executor: Executor, permit: Permit) -> tuple[bool, tuple[str, ...]]:
    """Whether everything that a permit lets be done was done under it, and the targets that look like it: where the
    executor cannot tell its own effect from the same one by somebody else, people are told what it looks like.
    """
    orders = orders_of(permit)
    found = await asyncio.gather(*(observe(executor, order) for order in orders.values()))
    shown = [name for name, seen_as in zip(orders, found, strict=True) if seen_as == "done"]
    whole = len(shown) == len(orders) and _knows_its_own(executor, permit)
    return whole, tuple(name for name in shown if name)


def _on(permit: Permit, touched: tuple[str, ...]) -> dict[str, Order]:
    """The orders of a permit for the targets that were touched: by their names, or by those of their resources."""
    orders = orders_of(permit)
    if permit.one_by_one:
        return {name: order for name, order in orders.items() if name in touched}
    whole = orders[""]
    targets = tuple(
        target
        for name, target in zip(permit.places, permit.targets, strict=False)
        if name in touched or target.resource in touched
    )
    within = {*touched, *(target.resource for target in targets)}
    resolved = tuple(resource for resource in whole.resolved if resource in within)
    if not resolved:
        return {}
    if (resolved, targets) == (whole.resolved, whole.targets):
        return orders
    return {"": replace(whole, resolved=resolved, targets=targets, part_of=whole)}


def _touched(permit: Permit, name: str, acted: Acted) -> tuple[str, ...]:
    """What an order of a step touched, by the name of its target; without one it was for all at once."""
    if not name:
        return _names(permit, acted.touched)
    return (name,) if acted.effect != "none" else ()


def _names(permit: Permit, reached: tuple[Reached, ...]) -> tuple[str, ...]:
    """What was reached, as the permit names it."""
    pairs = ((target.resource, target.id) for target in permit.targets)
    known = dict(zip(pairs, permit.places, strict=False))
    return tuple(known[each] if each in known else each[0] for each in reached)


def _after(acted: Acted, name: str, touched: list[str]) -> Acted:
    """How the step ended where one target's part did: what was done on those before it is done all the same."""
    if not name:
        return acted
    effect = "done" if acted.effect == "none" and touched else acted.effect
    return replace(acted, effect=effect, message=f"{name}: {acted.message}")


def _gating(permit: Permit, order: Order) -> list[int]:
    """Which criteria are measured after one target: those on its resource, and the neighbours that are guarded."""
    pairs = enumerate(permit.measurable)
    return [at for at, (item, resource) in pairs if item.of is not None or resource in order.resolved]


def _matrix(permit: Permit, newest: dict[int, Measurement], why: str) -> tuple[Measurement, ...]:
    """A measurement of every criterion on every resource: the newest one, or why there is none."""
    return tuple(newest.get(at, item) for at, item in enumerate(criteria.unmeasured(permit, why)))
