"""`withdraw ID`: stop an action, by Temporal's own cancel.

Before the effect it ends as withdrawn. After it the running step ends or aborts, and what happens then was approved
with the proposal: undo, or leave it and ask people. Who sent it is not verified, so it stops and never permits.
"""

import argparse

from temporalio.service import RPCError, RPCStatusCode

from cli import exits
from cli.arguments import Commands, add_proposal_id
from cli.case import UnknownActionError
from cli.place import find_place
from workflows import interface


def register(commands: Commands) -> None:
    parser = commands.add_parser("withdraw", help="stop an action: take the proposal back, or undo what began")
    parser.set_defaults(run=_withdraw)
    add_proposal_id(parser)


async def _withdraw(args: argparse.Namespace) -> int:
    client = await find_place().client()
    try:
        await client.get_workflow_handle(interface.workflow_id(args.proposal_id)).cancel()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UnknownActionError(f"action {args.proposal_id} does not run: there is nothing to stop") from error
        raise
    print(f"asked {args.proposal_id} to stop; see `countersign status {args.proposal_id}`")
    return exits.OK
