"""A revocation, computed again: it rests on a decision that counted; and whether a decision counts."""

from activities.deciding import Reading
from policy.audit import ReadEntry
from policy.decision import Vote, receive_decision


def check_revocation(entry: ReadEntry, decided: ReadEntry | None) -> list[str]:
    """Whether a stop rests on a decision that counted, of that person, and says why in its words."""
    if decided is None:
        return [f"no entry before it counts decision {entry.content['decision_id']}"]
    submission = receive_decision(decided.content["submission"])
    rests = (submission.vote, decided.content["person"]["person_id"], submission.justification)
    said = (Vote.revoke, entry.content["actor"], entry.content["why"])
    return [] if rests == said else [f"{decided.where} is no revocation of that person for that reason"]


def counted_again(reading: Reading, *, counted: bool) -> list[str]:
    """Whether a decision counts exactly where it was counted."""
    if counted and reading.refusal is not None:
        code, message = reading.refusal
        return [f"it was counted and is refused: {code}: {message}"]
    if not counted and reading.refusal is None:
        return ["it was refused and counts"]
    return []
