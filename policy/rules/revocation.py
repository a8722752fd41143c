"""What a policy says of stopping an action, and of undoing one that succeeded.

The rules are in `policy/approval/revoking.py` and `policy/rollback.py`.
"""

from pydantic import model_validator

from policy.base import EdgeModel, Name
from policy.rules.chains import Requirement
from policy.rules.durations import PositiveDuration


class Aftermath(EdgeModel):
    """For so long after it succeeded, this chain is asked about undoing an action (`policy/rollback.py`)."""

    window: PositiveDuration
    chain: Name


class Revocation(EdgeModel):
    """Who may revoke in each phase, besides who stands behind the proposal; one of them is enough."""

    before: Requirement | None = None
    during: Requirement | None = None
    after: Aftermath | None = None

    @model_validator(mode="after")
    def _one_is_enough(self) -> "Revocation":
        for name, rule in (("before", self.before), ("during", self.during)):
            if rule is not None and rule.count != 1:
                raise ValueError(
                    f"revocation.{name}: count is {rule.count}, one person is enough to stop: leave it out"
                )
            if rule is not None and rule.when is not None:
                raise ValueError(f"revocation.{name}: when is not asked of who stops: name groups, roles or people")
        return self
