"""Arguments that several commands take."""

import argparse
import re
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - the type has no other name

_PREFIX = "action/"


def proposal_id(text: str) -> str:
    """A proposal id as typed; a workflow id copied from the Temporal UI serves, too."""
    name = text.removeprefix(_PREFIX)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise argparse.ArgumentTypeError(f"`{text[:120]}` is no proposal id: 1 to 100 of A-Z a-z 0-9 . _ -")
    return name


def add_proposal_id(parser: argparse.ArgumentParser) -> None:
    """Take the id of an action."""
    parser.add_argument("proposal_id", metavar="ID", type=proposal_id, help="proposal id")
