"""`revoke ID`: stop an action, or undo one that has succeeded.

1. While it waits or runs, a revocation is a decision like any other: it names what its author saw, is confirmed, and is
   answered. It counts for who may revoke; anybody may ask `withdraw` instead, which nobody verifies.
2. What has succeeded is undone by an action of its own: the recorded undos in reverse order, built from the record and
   started. Whether it is asked of the faster chain is the policy's to say, and the id that is printed shows it. It is
   waited for until it is assessed: one that is refused or denied at once undoes nothing, and that is said.
3. The rollback is measured by the criteria that the operations registry has for its operations, and where it has none,
   by what `--criterion` says: what an action is measured by is never left out.
"""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client

from activities.documents import Documents
from cli import exits, render
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, UnknownActionError, ask, look
from cli.confirming import confirms, refuse_unattended
from cli.decide import NotDecidableError
from cli.envelope import enveloped_by
from cli.place import NO_RECORD, Place, find_place
from cli.propose import start
from cli.signing import Signing, add_signing, signing_of
from cli.statement import cast, check, prepare
from policy.base import instant_text
from policy.builtin import AGENT
from policy.canonical import parse_json
from policy.criteria import minimum
from policy.decision import Vote, Wanted
from policy.errors import CanonicalError, ProposalError
from policy.lifecycle import State
from policy.operations import OperationsRegistry
from policy.outcome import Outcome
from policy.proposal import ActionProposal, receive
from policy.rollback import rollback_of
from policy.rules.stepping_up import wanted_of
from workflows import interface

_VALID = timedelta(minutes=10)
_POLL = timedelta(seconds=0.3)
_UNSETTLED = (State.assessing, State.recording)
_PLACEHOLDER = {"probe": "nothing.measured", "equals": True}


def register(commands: Commands) -> None:
    parser = commands.add_parser("revoke", help="stop an action as somebody who may, or undo one that has succeeded")
    parser.set_defaults(run=_revoke, vote="revoke")
    add_proposal_id(parser)
    parser.add_argument("--because", metavar="TEXT", required=True, help="your reason")
    add_signing(parser)
    parser.add_argument("--criterion", metavar="FILE", type=Path, help="what undoing is measured by, as JSON")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--patience", type=float, default=30, metavar="SECONDS", help="how long to wait (default: 30)")


async def _revoke(args: argparse.Namespace) -> int:
    refuse_unattended("countersign show", confirmed=args.yes, silent=args.json)
    place = find_place()
    case = await look(place, args.proposal_id)
    signing = await signing_of(args, place)
    if case.closed:
        return await _roll_back(args, place, case, signing)
    value = revocation(case, args.because, datetime.now(UTC))
    statement = prepare(case, signing, value, wanted_to_revoke(case))
    if not args.json:
        print("\n".join(statement.lines))
    if not _confirmed(args, f"revoke {case.proposal_id}, which is {case.checked()['state']}, as {statement.who}"):
        return exits.FAILED
    return await cast(place, statement, patience=timedelta(seconds=args.patience), as_json=args.json)


def wanted_to_revoke(case: Case) -> Wanted | None:
    """What the proof of a revocation must show, by the record."""
    revision = case.dossier.file.revision if case.dossier is not None else None
    return wanted_of(revision.evaluation.revoke_proofs, Vote.revoke) if revision is not None else None


def revocation(case: Case, because: str, now: datetime) -> dict[str, Any]:
    """The decision that revokes an action; as `unasked`."""
    return unasked(case, Vote.revoke, because, now)


def unasked(case: Case, vote: Vote, because: str, now: datetime) -> dict[str, Any]:
    """A decision of no stage on an action, as the JSON value that is to be signed, without a proof.

    Raises:
        NotDecidableError: workflow and record contradict each other, or nothing was assessed yet.
        DecisionError: an argument cannot be part of a decision.
    """
    if found := case.mismatches():
        raise NotDecidableError(f"workflow and record contradict each other, decide nothing on it: {'; '.join(found)}")
    status = case.checked()
    if status["assessment_digest"] is None:
        raise NotDecidableError(f"action {case.proposal_id} is not assessed yet: `countersign withdraw` stops it")
    names = ("action_digest", "assessment_digest", "policy_digest")
    value = {
        "decision_id": str(uuid4()),
        "proposal_id": case.proposal_id,
        "revision": status["revision"],
        "stage": status["stage"] or 1,
        **{name: status[name] for name in names},
        # Nobody is shown an action that nobody is asked about.
        "presented_digest": status["presented_digest"] or status["assessment_digest"],
        "vote": str(vote),
        "justification": because,
        "issued_at": instant_text(now.replace(microsecond=0)),
        "expires_at": instant_text(now.replace(microsecond=0) + _VALID),
    }
    check(value)
    return value


async def _roll_back(args: argparse.Namespace, place: Place, case: Case, signing: Signing) -> int:
    """Build and start the action that undoes what has succeeded."""
    assert case.dossier is not None
    file, identity = case.dossier.file, signing.sender
    assert file.result is not None
    if file.result.outcome is not Outcome.succeeded:
        raise UnknownActionError(f"action {case.proposal_id} ended as {file.result.outcome}: there is nothing to undo")
    async with place.record() as database:
        if database is None:
            raise UnknownActionError(f"what {case.proposal_id} did is on record only: {NO_RECORD}")
        async with database.snapshot() as connection:
            registry = (await Documents().in_force(connection)).operations
    value = undoing(file.proposal, registry, identity, args.because, _criterion(args.criterion))
    if not _confirmed(args, f"propose {value['proposal_id']}, which undoes {case.proposal_id}, as {identity}"):
        return exits.FAILED
    received = receive(value)
    proposal_id = received.proposal.proposal_id
    client = await place.client(identity)
    await start(client, await enveloped_by(signing, value, received), proposal_id)
    status = await _first_status(client, proposal_id, timedelta(seconds=args.patience))
    shown = {"proposal_id": proposal_id, "undoes": case.proposal_id, "state": status and status["state"]}
    print(json.dumps({**shown, "result": status and status["result"]}) if args.json else _told(shown, status))
    if status is None:
        return exits.UNKNOWN
    ended = status["result"]
    return exits.OK if ended is None or ended["outcome"] == Outcome.succeeded else exits.REFUSED


async def _first_status(client: Client, proposal_id: str, patience: timedelta) -> dict[str, Any] | None:
    """The status of an action once it is assessed; None where that took longer than somebody waits."""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                status, _ = await ask(client, proposal_id, interface.STATUS)
                if status is not None and (status["result"] or status["state"] not in _UNSETTLED):
                    return status
                await asyncio.sleep(_POLL.total_seconds())
    except TimeoutError:
        return None


def _told(shown: dict[str, Any], status: dict[str, Any] | None) -> str:
    """What became of a rollback at once: why it was refused, or where it stands."""
    proposal_id, undoes = shown["proposal_id"], shown["undoes"]
    if status is None:
        return f"{proposal_id} was started to undo {undoes}, and is not assessed yet: countersign show {proposal_id}"
    if (ended := status["result"]) is None:
        return f"{proposal_id} undoes {undoes}, {status['state']}: countersign show {proposal_id}"
    # Our own agent has no owner: that says less than any other reason.
    reasons = sorted(ended["reasons"], key=lambda reason: reason["code"] == "unknown_agent")
    return f"{proposal_id} of {undoes}: {render.result({**ended, 'reasons': reasons})}"


def undoing(
    proposal: ActionProposal,
    registry: OperationsRegistry,
    identity: str,
    because: str,
    criterion: dict[str, Any] | None,
) -> dict[str, Any]:
    """The proposal that undoes an action.

    Raises:
        ProposalError: a step has no undo, or nothing says what undoing is measured by.
    """
    if bare := [step.name for step in proposal.steps if step.undo is None]:
        raise ProposalError(f"step {', '.join(bare)} of {proposal.proposal_id} has no undo: propose what repairs it")

    def built(measured_by: dict[str, Any]) -> dict[str, Any]:
        return rollback_of(
            proposal,
            proposal_id=f"{proposal.proposal_id[:80]}.undo-{uuid4().hex[:8]}",
            agent=AGENT,
            on_behalf_of=identity,
            because=because,
            criterion=measured_by,
            redo=[
                step.undo is not None and _inverse(registry, step.undo.operation, step.operation)
                for step in proposal.steps
            ],
        )

    draft = receive(built(_PLACEHOLDER)).proposal
    known = {name: item for name in draft.operations if (item := registry.find(name)) is not None}
    own = criterion or next((item.model_dump(mode="json") for item in minimum(draft, known)), None)
    if own is None:
        names = ", ".join(dict.fromkeys(step.operation for step in draft.steps))
        raise ProposalError(f"{names} has no criteria of its own: say with --criterion what undoing is measured by")
    return built(own)


def _inverse(registry: OperationsRegistry, operation: str, of: str) -> bool:
    known = registry.find(operation)
    return known is not None and of in known.inverse


def _criterion(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        value = parse_json(path.read_bytes())
    except (OSError, CanonicalError) as error:
        raise ProposalError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise ProposalError(f"{path}: a criterion is one json object")
    return value


def _confirmed(args: argparse.Namespace, what: str) -> bool:
    if args.yes or confirms(f"{what}?", "revoke"):
        return True
    print("nothing was sent", file=sys.stderr)
    return False
