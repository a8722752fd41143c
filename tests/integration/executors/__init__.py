"""Executors before real targets: the harnesses by name. One is a file beside this one and an entry here."""

from collections.abc import Mapping

from tests.integration.executors import postgres_harness
from tests.integration.executors.command_harness import command
from tests.integration.executors.harness import Make
from tests.integration.executors.http_harness import http
from tests.integration.executors.kubernetes_harness import kubernetes
from tests.integration.executors.temporal_harness import temporal_activity, temporal_workflow

HARNESSES: Mapping[str, Make] = {
    "command": command,
    "http": http,
    "kubernetes": kubernetes,
    "postgres": postgres_harness.parameters,
    "postgres indexes": postgres_harness.indexes,
    "postgres sessions": postgres_harness.sessions,
    "temporal activity": temporal_activity,
    "temporal workflow": temporal_workflow,
}
