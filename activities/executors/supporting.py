"""What an executor of entries can do, read from its entries: of each operation no more than its entry has."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from activities.executors.base import Supports
from activities.executors.values import variants
from policy.targets import Capability, Observes, Stops

_OBSERVES: tuple[Observes, ...] = ("never", "by_effect", "by_key")
_STOPS: tuple[Stops, ...] = ("between", "within")


def supported(
    operations: Mapping[str, Any],
    *,
    probes: frozenset[str],
    stops_within: timedelta,
    observes: Callable[[Any], Observes],
    stops: Callable[[Any], Stops],
) -> Supports:
    """What the entries add up to; where one name chooses among several, what all of them can do.

    Args:
        operations: the entries by operation, each with `resolve` and `dry_run`.
        probes: that it reads.
        stops_within: how long it goes on after it was told to stop.
        observes: how one entry's effect is seen.
        stops: when one entry's effect ends after a stop.
    """
    particular = {}
    for name, entry in operations.items():
        each = variants(entry)
        particular[name] = Capability(
            operation=name,
            resolves=all(item.resolve is not None for item in each),
            dry_runs=all(item.dry_run is not None for item in each),
            observes=min((observes(item) for item in each), key=_OBSERVES.index),
            stops=min((stops(item) for item in each), key=_STOPS.index),
        )
    every = particular.values()
    return Supports(
        operations=frozenset(operations),
        probes=probes,
        stops_within=stops_within,
        observes=min((item.observes for item in every), key=_OBSERVES.index, default="never"),
        stops=min((item.stops for item in every), key=_STOPS.index, default="between"),
        dry_runs=frozenset(name for name, item in particular.items() if item.dry_runs),
        resolves=frozenset(name for name, item in particular.items() if item.resolves),
        particular=particular,
    )
