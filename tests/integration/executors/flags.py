"""The HTTP executor before the server of flags, with entries that a test chooses, and what it is asked."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from activities.executors.base import (
    Order,
    TargetCredentials,
)
from activities.executors.http import HttpExecutor, make
from activities.executors.http_settings import HttpSettings
from policy.canonical import canonical
from policy.permit import Direction
from tests.integration.executors.flag_server import FlagServer
from tests.integration.executors.http_harness import HOST, RESOURCE, SET, entry

PLAIN = {key: value for key, value in SET.items() if key not in ("resolve", "idempotent")}
JOB: dict[str, Any] = {
    "call": {"path": "/jobs"},
    "completion": {
        "states": {
            "pointer": "/status",
            "done": ["done"],
            "running": ["running"],
            "failed": ["failed"],
            "refused": ["cancelled"],
        },
        "every_seconds": 0.02,
        "stop_seconds": 2,
    },
    "observe": {"path": "/effects/{order.permit_id}"},
    "timeout_seconds": 2,
}


def flag_executor(server: FlagServer | None = None, *, url: str = "", resolve: Any = None, **more: Any) -> HttpExecutor:
    targets = TargetCredentials({RESOURCE: url or (server.base if server else "")})
    written = entry(**{"operations": {"http.flag.set": PLAIN}, **more})
    if resolve is None:
        return make("http", written, targets)
    return HttpExecutor(HttpSettings.model_validate_json(canonical(written)), targets, resolve=resolve)


def flag_order(operation: str = "http.flag.set", *, seconds: float = 20, **more: Any) -> Order:
    flag: dict[str, Any] = {"flag": "checkout", "value": True}
    parameters = flag if operation == "http.flag.set" else {}
    order = Order("permit-1", Direction.do, operation, parameters, (RESOURCE,), timedelta(seconds=seconds))
    return replace(order, signed="the.signed.permit", **more)


def flag_host(**more: Any) -> dict[str, Any]:
    return {**HOST, **more}
