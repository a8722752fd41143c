"""Whether the votes that carry an action are what people signed; asked where a permit is issued.

- Whoever takes decisions writes the votes; whoever issues permits believes none of them. Of every approval and release
  the statement is read again: it must be of this vote, stage, proposal and revision, name what was asked then, and its
  proof must show, by the directory of now, the very person whose vote it is, as strongly as the vote says.
- A vote that was kept of an earlier revision names what that revision asked.
- A statement counts within its own dates, and its proof shows what the chain asks of such a vote: step-up is asked
  again here, at the instant at which the record says that it was first seen.
- What people were shown must say what the action is: whoever takes decisions seals the screen, too.
- A key that was revoked since, or taken out of the directory, proves nothing any more. One whose time is over does: it
  signed in time.
- A signed vote for somebody else says how strongly their delegation is shown, as the directory of now has it, and shows
  no more itself. A vote that says that it was only claimed is of a statement that was.
- Nobody checks who denied: whoever can write votes can stop an action, and could anyway.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from policy.approval.ballot import Ballot
from policy.decision import DecisionSubmission, Refusal, Vote, valid_at
from policy.people.directory import Directory
from policy.proofs import Assurance, Principal, lowest
from policy.rules.chains import ApprovalChain
from policy.rules.stepping_up import too_weak, wanted_in

CARRIES = (Vote.approve, Vote.release)


class Asked(NamedTuple):
    """What one revision asked people about, by digests."""

    action: str
    assessment: str
    policy: str
    presented: str | None


def as_shown(asked: Mapping[int, Asked | str], revision: int, presented: str | None) -> dict[int, Asked | str]:
    """What was asked, with the screen of a revision: a release that sealed none shows what today's code makes of it."""
    newest = asked.get(revision)
    if not isinstance(newest, Asked) or newest.presented is not None:
        return dict(asked)
    return {**asked, revision: newest._replace(presented=presented)}


class Statement(NamedTuple):
    """A decision as it was received, whoever made it, or why its proof does not show it now, and when it was seen."""

    submission: DecisionSubmission
    said_by: Principal | tuple[Refusal, str]
    seen_at: datetime


def unproven(
    ballots: Iterable[Ballot],
    statements: Mapping[str, Statement],
    asked: Mapping[int, Asked | str],
    directory: Directory,
    *,
    proposal_id: str,
    revision: int,
    chain: ApprovalChain | None,
) -> dict[str, str]:
    """Why votes are not proved, by decision id; nothing where all of them are. Pure.

    Args:
        ballots: of the case, those that were kept among them.
        statements: what was received, by decision id.
        asked: what each revision asked, or why that was not what it is about.
        directory: in force now.
        proposal_id: whose votes they must be.
        revision: the open one.
        chain: that is asked, which says how strong the proof of each vote must be.
    """
    found = {}
    for ballot in ballots:
        if ballot.vote not in CARRIES:
            continue
        statement = statements.get(ballot.decision_id)
        if statement is None:
            found[ballot.decision_id] = "no statement of it was received"
            continue
        about = ballot.kept_from or revision
        why = _about(ballot, statement.submission, proposal_id, about, asked.get(about))
        why = why or _dated(statement) or _by(ballot, statement, directory, chain)
        if why is not None:
            found[ballot.decision_id] = why
    return found


def _about(
    ballot: Ballot, submission: DecisionSubmission, proposal_id: str, revision: int, asked: Asked | str | None
) -> str | None:
    if asked is None:
        return f"nothing was asked in revision {revision}"
    if isinstance(asked, str):
        return asked
    said = (submission.proposal_id, submission.revision, submission.stage, submission.vote)
    if said != (proposal_id, revision, ballot.stage, ballot.vote):
        return "its statement is about something else"
    digests = Asked(
        submission.action_digest, submission.assessment_digest, submission.policy_digest, submission.presented_digest
    )
    return None if digests == asked else f"its statement names other digests than revision {revision}"


def _dated(statement: Statement) -> str | None:
    why = valid_at(statement.submission, statement.seen_at)
    return why[1] if why is not None else None


def _by(ballot: Ballot, statement: Statement, directory: Directory, chain: ApprovalChain | None) -> str | None:
    if not isinstance(statement.said_by, Principal):
        return statement.said_by[1]
    person = directory.resolve(statement.said_by.identity)
    if person != ballot.person_id:
        return f"its statement is by {person or 'nobody'}, the vote is of {ballot.person_id}"
    behalf = statement.submission.on_behalf_of
    if (directory.resolve(behalf) if behalf is not None else None) != ballot.delegator:
        return "its statement is made for another person than the vote"
    if ballot.signed is (statement.said_by.kind == "claimed"):
        return "its proof and the vote do not agree on whether somebody signed"
    shown = statement.said_by.assurance
    if ballot.delegator is not None and ballot.signed:
        if ballot.delegated not in _delegations(ballot, directory):
            return f"no delegation of {ballot.delegator} is shown as strongly as the vote says"
        shown = lowest((shown, ballot.delegated))
    if shown is not ballot.assurance:
        return f"its proof shows {shown}, the vote says {ballot.assurance}"
    wanted = wanted_in(chain, ballot.stage, ballot.vote) if chain is not None else None
    weak = too_weak(statement.said_by.model_copy(update={"assurance": shown}), wanted, statement.seen_at)
    return weak[1] if weak is not None else None


def _delegations(ballot: Ballot, directory: Directory) -> set[Assurance]:
    """How strongly the delegations between the two people of a vote are shown."""
    between = [
        directory.shown(item)
        for item in directory.delegations
        if (item.delegate, item.delegator) == (ballot.person_id, ballot.delegator)
    ]
    return {found for found in between if isinstance(found, Assurance)}
