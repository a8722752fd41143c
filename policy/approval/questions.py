"""Questions and answers: what approvers wanted to know, and what they were told.

- A `request_info` asks the proposer, or the person it names. It counts as no vote.
- An answer names the question and says something. It comes from the proposer's agent (which acts for its owner), from
  whoever asks for the action, or from the person who was asked.
- A question is answered once; another answer is another statement and is kept, the first one let the clock go on.
- An answer is evidence. It opens nothing and changes no vote.
"""

from collections.abc import Collection

from policy.approval.ballot import Ballot
from policy.approval.state import Question, Remark
from policy.decision import Refusal

_SHOWN = 20
_CUT = 500


class Questions:
    """The questions of a case in the order in which they came, and what people said of having been asked."""

    def __init__(self) -> None:
        self._asked: dict[str, Question] = {}
        self._pausing: dict[str, None] = {}
        self._remarks: list[Remark] = []

    def ask(self, ballot: Ballot, *, pausing: bool) -> None:
        """Somebody asks; `pausing` where a clock stands still for it."""
        self._asked[ballot.decision_id] = Question(
            decision_id=ballot.decision_id,
            stage=ballot.stage,
            by=ballot.person_id,
            at=ballot.received_at,
            asked=ballot.asked,
            text=_cut(ballot.justification),
        )
        if pausing:
            self._pausing[ballot.decision_id] = None

    def refusal(self, ballot: Ballot, requesters: Collection[str]) -> tuple[Refusal, str] | None:
        """Why an answer is none, or None."""
        question = self._asked.get(ballot.answers or "")
        if question is None:
            return (
                Refusal.unknown_question,
                f"{ballot.answers} is no question that was asked here: name its decision id",
            )
        if not ballot.justification.strip():
            return Refusal.justification_missing, "an answer needs words"
        who = {ballot.person_id, ballot.delegator or ballot.person_id}
        if question.asked not in who and who.isdisjoint(requesters):
            asked = question.asked or "whoever proposes"
            return Refusal.not_authorized, f"{ballot.person_id} was not asked: {asked} was"
        return None

    def answer(self, ballot: Ballot) -> bool:
        """Somebody answers; whether nothing that a clock stands still for is open any more."""
        question = self._asked[ballot.answers or ""]
        waited = self._pausing.pop(question.decision_id, 0) is None
        if question.answered_at is None:
            more = {
                "answered_by": ballot.person_id,
                "answered_at": ballot.received_at,
                "answer": _cut(ballot.justification),
            }
            self._asked[question.decision_id] = question.model_copy(update=more)
        return waited and not self._pausing

    def remark(self, ballot: Ballot) -> None:
        """Somebody says something of having been asked, with any vote."""
        if ballot.feedback:
            self._remarks.append(Remark(by=ballot.person_id, at=ballot.received_at, said=ballot.feedback))

    def forget_pauses(self) -> None:
        """The stage in which they were asked has ended: no clock waits for them."""
        self._pausing.clear()

    @property
    def all(self) -> tuple[Question, ...]:
        """The newest of them."""
        return tuple(self._asked.values())[-_SHOWN:]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """The newest of them."""
        return tuple(self._remarks)[-_SHOWN:]


def _cut(text: str) -> str:
    """A text to a length that a standing can hold; the ballot and the ledger have all of it."""
    return text if len(text) <= _CUT else text[: _CUT - 1] + "…"
