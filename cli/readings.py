"""What a report's criteria read, after the step and before it, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from policy.canonical import canonical


def readings(report: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each measurement of a report as it is stored, and what it read: `web.latency reads 12 (10 before)`."""
    for item in report["measurements"]:
        yield item, f"{item['probe']} reads {_shown(item['value'])}{_before(report, item)}"


def _before(report: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """What the same probe read before; nothing where it was asked several things: a measurement does not say which."""
    found, measured = (
        [one for one in report.get(kind, ()) if (one["probe"], one.get("resource")) == _asked(item)]
        for kind in ("baselines", "measurements")
    )
    if (len(found), len(measured)) != (1, 1):
        return ""
    return " (no answer before)" if found[0].get("error") else f" ({_shown(found[0]['value'])} before)"


def _asked(item: Mapping[str, Any]) -> tuple[object, object]:
    return item["probe"], item.get("resource")


def _shown(value: object) -> str:
    return canonical(value).decode()
