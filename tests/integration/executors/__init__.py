"""Executors before real targets: the harnesses by name. One is a file beside this one and an entry here."""

from collections.abc import Mapping

from tests.integration.executors.harness import Make
from tests.integration.executors.kubernetes_harness import kubernetes
from tests.integration.executors.postgres_harness import postgres

HARNESSES: Mapping[str, Make] = {"kubernetes": kubernetes, "postgres": postgres}
