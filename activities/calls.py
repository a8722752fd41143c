"""One activity of a history: what was asked, and what it told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from policy.base import RecordModel

Model = TypeVar("Model", bound=RecordModel)


@dataclass(frozen=True)
class Call:
    """One activity of a history.

    Attributes:
        name: its type.
        asked: its request, as the replay makes it.
        told: its answer; None where it failed or was never answered.
        where: the event that has the answer, as findings name it.
        spans: when it can have run by the workflow's clock: instants, or spans where a task was tried again.
        began: when it was asked for, by the server's clock.
    """

    name: str
    asked: dict[str, Any]
    told: dict[str, Any] | None
    where: str
    spans: tuple[tuple[datetime, datetime], ...]
    began: datetime

    def ran_at(self, at: datetime) -> bool:
        """Whether it can have run at an instant of the workflow's clock."""
        return any(start <= at <= end for start, end in self.spans)

    def answer(self, model: type[Model]) -> Model:
        """What it told, as its type."""
        return model.model_validate(self.told)
