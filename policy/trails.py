"""What a target's own audit trail says that was done to it: one line of it that changed something.

Everything in it is a claim of the target: `permit_id` is what a mark says, which anybody can write who can write there.
"""

from policy.base import Instant, RecordModel


class TrailEffect(RecordModel):
    """One thing that was done.

    Attributes:
        at: when the target received it (UTC).
        target: its name in the target system, as an executor names it, as far as the trail tells.
        resource: the resource id of the catalog that the trail is of.
        operation: which operation it looks like; where a mark claims one that it can be, that one.
        actor: who did it, in the target's words.
        permit_id: the permit that its mark claims; None where it has none.
        evidence: the trail's own words, cut to size.
    """

    at: Instant
    target: str
    resource: str
    operation: str
    actor: str
    permit_id: str | None = None
    evidence: str = ""
