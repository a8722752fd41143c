"""What executors found and what they can do, as rows. The rules are those of `activities/tables.py`."""

from sqlalchemy import BigInteger, Identity, Index
from sqlmodel import Field

from activities.tables import _Instant, _Record, _String


class TargetResolutionRow(_Record, table=True):
    """What executors found that an action would touch; the newest row of an action counts, while it is young."""

    __tablename__ = "target_resolution"
    __table_args__ = (Index("target_resolution_newest", "action_digest", "seq"),)
    seq: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    action_digest: _String
    digest: _String
    body: bytes
    resolved_at: _Instant
    resolved_by: _String


class ExecutorCapabilityRow(_Record, table=True):
    """What an executor can do, operation by operation; the newest row of an executor counts."""

    __tablename__ = "executor_capability"
    __table_args__ = (Index("executor_capability_newest", "executor", "seq"),)
    seq: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    executor: _String
    digest: _String
    body: bytes
    declared_at: _Instant
    declared_by: _String
