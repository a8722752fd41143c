"""A measuring executor as somebody would add one: this file, and an entry in `KINDS`."""

from collections.abc import Mapping
from typing import Any

from activities.executors.base import ProbeOrder, TargetCredentials
from activities.executors.kinds import ExecutorSettings
from activities.executors.reading import ReadingExecutor


class CloudSettings(ExecutorSettings):
    """What an operator says of it."""

    region: str


class CloudExecutor(ReadingExecutor):
    """Reads from nowhere, and says what it was asked."""

    def __init__(self, name: str, settings: CloudSettings) -> None:
        super().__init__(name)
        self._region = settings.region

    async def measure(self, order: ProbeOrder) -> Any:
        """What it was asked."""
        return f"{order.query} of {order.resource} in {self._region}"


def make(name: str, given: Mapping[str, Any], _targets: TargetCredentials) -> CloudExecutor:
    """The executor of an operator's entry."""
    return CloudExecutor(name, CloudSettings.model_validate(given))
