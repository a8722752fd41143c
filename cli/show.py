"""`show`, `status`, `explain`: what an action is, for people and for programs."""

import argparse
import json

from cli import exits, render, timeline
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, look, why
from cli.outside import outside_said
from cli.place import NO_RECORD, Place, find_place
from policy.errors import CountersignError
from policy.screens.neutral import visible


class NoNoticeError(CountersignError):
    """There is nothing to tell people of an action."""


def register(commands: Commands) -> None:
    show = commands.add_parser("show", help="an action: what, how bad, where it stands, who did what")
    show.set_defaults(run=_show)
    show.add_argument("--notice", action="store_true", help="only what to send to whoever is asked: ten lines of text")
    status = commands.add_parser("status", help="the machine-readable state of an action, as JSON")
    status.set_defaults(run=_status)
    explain = commands.add_parser("explain", help="why an action is pending or ended, and who could unblock it")
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(run=_explain)
    for parser in (show, status, explain):
        add_proposal_id(parser)


async def _show(args: argparse.Namespace) -> int:
    place = find_place()
    case = await look(place, args.proposal_id)
    print(notice_text(case) if args.notice else show_text(case, place))
    return exits.OK


async def _status(args: argparse.Namespace) -> int:
    case = await look(find_place(), args.proposal_id)
    print(json.dumps({**case.status(), "mismatches": case.mismatches()}, indent=2))
    return exits.OK


async def _explain(args: argparse.Namespace) -> int:
    place = find_place()
    case = await look(place, args.proposal_id)
    answer = await why(place, case)
    print(json.dumps(answer, indent=2) if args.json else render.explain(answer, case.status()))
    return exits.OK


def show_text(case: Case, place: Place) -> str:
    """Everything known of an action, most important first."""
    status = case.checked()
    link = place.link(case.proposal_id, case.namespace)
    parts = [
        render.headline(status),
        *render.halted(status),
        *_warnings(case, place),
        f"temporal ui  {link}" if link else "",
    ]
    if status["result"]:
        parts += ["", render.result(status["result"], case.acting_for())]
        if case.dossier is not None and (known := timeline.known_now(case.dossier.entries)):
            parts += [visible(known)]
    if status["screen"]:
        accepts, ended = status["accepts_claimed"], bool(status["result"])
        parts += ["", render.screen(status["screen"], accepts_claimed=accepts, ended=ended)]
    if status["stages"]:
        due = () if status["result"] else status["due"]
        parts += ["", render.standing(status["stages"], due, case.acting_for())]
    if asked := render.to_answer(status):
        parts += ["", asked]
    parts += ["", render.digests(status)]
    if case.dossier is not None:
        parts += ["", render.timeline(timeline.lines(case.dossier.entries))]
        said = [line for stated in case.dossier.stated.values() for line in outside_said(stated)]
        parts += ["", *dict.fromkeys(said)] if said else []
    return "\n".join(parts)


def notice_text(case: Case) -> str:
    """What to send to whoever is asked, from the record; it answers nothing and nobody decides by it.

    Raises:
        NoNoticeError: there is no assessment of it on record, or it has ended.
    """
    if case.closed:
        raise NoNoticeError(f"action {case.proposal_id} has ended: nobody is asked any more")
    status = case.checked()
    if case.dossier is None or not status["screen"]:
        raise NoNoticeError(f"action {case.proposal_id} has no assessment on record: there is nothing to send")
    return render.notice(status["screen"])


def _warnings(case: Case, place: Place) -> list[str]:
    found = [f"WARNING: {item}" for item in case.mismatches()]
    if case.dossier is None:
        why = "it has no such action" if place.settings.database_url else NO_RECORD
        found.append(f"WARNING: not checked against the record: {why}")
    elif case.dossier.broken:
        found.append(f"WARNING: the ledger does not hold together: {case.dossier.broken}")
    if case.problem:
        found.append(f"note: {case.problem}")
    return found
