"""Reading a long list page by page: what stays in it keeps nobody from what comes after.

A page goes on after an instant and an id, the order of the list; whoever looks after all of a list reads pages until
one is empty.
"""

from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, tuple_
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import Uuid

# An instant and an id: after which row a page goes on.
After: TypeAlias = tuple[datetime, UUID]
FIRST: After = (datetime.fromtimestamp(0, UTC), UUID(int=0))


def comes_after(at: ColumnElement[Any], key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a row comes after the one that `placed` names, in the order of an instant and an id."""
    last = tuple_(bindparam("after_at", type_=TIMESTAMP(timezone=True)), bindparam("after", type_=Uuid))
    return tuple_(at, key) > last


def placed(most: int, after: After) -> dict[str, Any]:
    """The parameters of a page of at most so many rows."""
    return {"most": most, "after_at": after[0], "after": after[1]}
