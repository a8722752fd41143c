"""Who may halt everything, and who may let it go on, by a policy."""

from pydantic import model_validator

from policy.base import EdgeModel
from policy.rules.chains import Requirement


class HaltRule(EdgeModel):
    """One of `who` halts. Two people of `release`, or of `who` where it is left out, let it go on."""

    who: Requirement
    release: Requirement | None = None

    @model_validator(mode="after")
    def _one_is_enough(self) -> "HaltRule":
        for name, rule in (("who", self.who), ("release", self.release)):
            if rule is not None and (rule.count != 1 or rule.when is not None):
                raise ValueError(f"halt.{name}: name groups, roles or people, without count and when")
        return self
