"""Two ways to the same effect: through our adapter, and by the client that it stands on."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

Contestants: TypeAlias = tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]
