"""The executor that measures by Prometheus: one number, by an instant query of the operations registry.

1. The query is the registry's. A parameter is a number, or a text that stands within double quotes, where it cannot end
   them; a text anywhere else, or in a regular expression, is refused: it could ask for something else.
2. Exactly one finite number is a value. No series, several, NaN and infinity are none: nobody can tell a metric that is
   gone from one that is well.
3. What is older than `max_age_seconds` is none either: both the instant that the server answers for, and that of the
   sample where the query is a plain selector. Inside of functions the registry bounds the age by its range (`[1m]`).
4. It only reads. One answer is bounded in time and size, and no redirect is followed (`activities/prometheus.py`).
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Annotated, Any

from pydantic import Field, JsonValue, field_validator

from activities.executors.base import ProbeError, ProbeOrder, TargetCredentials
from activities.executors.kinds import ExecutorSettings
from activities.executors.reading import ReadingExecutor
from activities.prometheus import Prometheus, PrometheusError, is_plain
from policy.bounds import number_of
from policy.consistency import RESOURCE

_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
_PLACE = re.compile(r"\$\$|\$(?P<named>[A-Za-z_][A-Za-z0-9_]*)|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}")


class PrometheusSettings(ExecutorSettings):
    """What an operator says of it.

    Attributes:
        url: `http(s)://host[:port][/path]` of the server, without a name or a query.
        max_age_seconds: how old a sample may be, seconds.
    """

    url: str
    max_age_seconds: Annotated[int, Field(ge=1, le=3600)] = 60

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not is_plain(value):
            raise ValueError("is no http address: write it like http://127.0.0.1:9090")
        return value


class PrometheusExecutor(ReadingExecutor):
    """Measures by one server.

    Args:
        name: under which the operations registry calls it.
        settings: where it is, and how old a sample may be.
    """

    def __init__(self, name: str, settings: PrometheusSettings) -> None:
        super().__init__(name)
        self._server = Prometheus(settings.url, "")
        self._max_age = timedelta(seconds=settings.max_age_seconds)

    async def measure(self, order: ProbeOrder) -> Any:
        """The number that a probe's query gives now; see `Executor.measure`."""
        query = query_of(order)
        try:
            # Of a selector `timestamp` gives the sample's own instant, of everything else the instant of the answer.
            (value, at), (sampled, _) = await asyncio.gather(
                self._server.ask(query), self._server.ask(f"timestamp({query})")
            )
        except PrometheusError as error:
            raise ProbeError(f"probe {order.probe}: {error}") from error
        for instant in (at.timestamp(), sampled):
            self._check_age(order, datetime.now(UTC).timestamp() - instant)
        return _typed(order, value)

    def _check_age(self, order: ProbeOrder, age: float) -> None:
        if abs(age) > self._max_age.total_seconds():
            when = "old" if age > 0 else "from the future"
            raise ProbeError(f"probe {order.probe}: its sample is {abs(age):.0f} s {when}: check the scrape and clocks")


def make(name: str, given: Mapping[str, Any], _targets: TargetCredentials) -> PrometheusExecutor:
    """The executor of an operator's entry."""
    return PrometheusExecutor(name, PrometheusSettings.model_validate(given))


def query_of(order: ProbeOrder) -> str:
    """The query of a probe with its parameters in it.

    Raises:
        ProbeError: it has none, a parameter is missing, or stands where it could change what is asked.
    """
    if not order.query:
        raise ProbeError(f"probe {order.probe} has no query in the operations registry")
    values: dict[str, JsonValue] = {**order.parameters, RESOURCE: order.resource}
    places = list(_PLACE.finditer(order.query))
    for found in places:
        if (name := found["named"] or found["braced"]) is not None:
            _check_place(order, name, values, found.start())
    try:
        return Template(order.query).substitute({name: _written(value) for name, value in values.items()})
    except (KeyError, ValueError) as error:
        raise ProbeError(f"probe {order.probe}: its query has no value for {error}") from None


def _check_place(order: ProbeOrder, name: str, values: Mapping[str, JsonValue], at: int) -> None:
    value = values.get(name)
    if number_of(value) is not None:
        return
    if not isinstance(value, str | bool):
        raise ProbeError(f"probe {order.probe}: parameter {name} is neither a text nor a number")
    within = next((item for item in _STRING.finditer(order.query) if item.start() < at < item.end()), None)
    if within is None or not within[0].startswith('"'):
        raise ProbeError(f'probe {order.probe}: its query has ${name} outside of quotes: write "${name}"')
    if order.query[: within.start()].rstrip().endswith("~"):
        raise ProbeError(f"probe {order.probe}: its query has ${name} in a regular expression: compare with = or !=")


def _written(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    number = number_of(value)
    return "" if number is None else format(number, ".17g")


def _typed(order: ProbeOrder, value: float) -> float | int | bool:
    """The number as the type that the registry declares."""
    if order.reads in ("", "number"):
        return value
    if order.reads == "integer" and value.is_integer():
        return int(value)
    if order.reads == "boolean" and value in (0, 1):
        return bool(value)
    raise ProbeError(f"probe {order.probe} reads {value:g}, which is no {order.reads}")
