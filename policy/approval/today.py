"""The people of a case by the directory of an instant: who asks, and by what each of the others may answer.

What the directory says now is asked wherever somebody votes, wherever a vote may have lapsed, and at dispatch. A case
does not know what it is about; this does.
"""

from datetime import datetime
from typing import NamedTuple

from policy.approval.ballot import Ballot
from policy.facts import requesters_of
from policy.people.delegation import acting
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proposal import ActionProposal
from policy.revision import Revision


class Today(NamedTuple):
    """A directory as it is asked about one action.

    Attributes:
        directory: as it is at the instant.
        requesters: person ids of those who stand behind the proposal by it.
        environment: of the action, for the scope of a delegation.
        tier: of the action, likewise.
        conditions: what the stages ask about people.
    """

    directory: Directory
    requesters: tuple[str, ...] = ()
    environment: str | None = None
    tier: str | None = None
    conditions: tuple[str, ...] = ()

    def person(
        self, identity: str, at: datetime, on_behalf_of: str | None = None, *, signed: bool = True
    ) -> PersonFacts | str | None:
        """The facts by which somebody answers, for themselves or for another; None for nobody, or why not.

        Args:
            identity: who answers.
            at: the instant (UTC).
            on_behalf_of: for whom; None for themselves.
            signed: whether they prove who they are; then whoever they act for must have signed that they do.
        """
        if on_behalf_of is None:
            return self.directory.facts(identity, at, self.conditions)
        return acting(
            self.directory,
            identity,
            on_behalf_of,
            at,
            environment=self.environment,
            tier=self.tier,
            conditions=self.conditions,
            signed=signed,
        )

    def voter(self, ballot: Ballot, at: datetime) -> PersonFacts | None:
        """By what the author of a ballot could give it now; None where they could not."""
        found = self.person(ballot.person_id, at, ballot.delegator, signed=ballot.signed)
        # Who voted under an id that is somebody's alias by now is no second person.
        same = isinstance(found, PersonFacts) and (found.person_id, found.delegator) == (
            ballot.person_id,
            ballot.delegator,
        )
        return found if same and isinstance(found, PersonFacts) else None

    def key_lost(self, ballot: Ballot) -> str | None:
        """Why the key that signed a ballot proves nothing any more; None where it does, or none signed."""
        if ballot.key_id is None:
            return None
        found = self.directory.key_of_person(ballot.key_id)
        if found is None or found[0].id != ballot.person_id:
            return f"key {ballot.key_id} is not {ballot.person_id}'s any more"
        return f"key {ballot.key_id} was revoked" if found[1].revoked_at is not None else None


def today_of(proposal: ActionProposal, revision: Revision, directory: Directory) -> Today:
    """What a directory is asked of an action; pure."""
    chain = revision.evaluation.chain
    return Today(
        directory=directory,
        requesters=requesters_of(proposal, directory, revision.facts.observed, revision.facts.resolved_ids),
        environment=revision.facts.target_environment,
        tier=revision.assessment.risk_tier,
        conditions=chain.conditions if chain is not None else (),
    )
