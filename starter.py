"""The command line's entry: the tree of commands, dispatch, and exit codes. The bodies live in `cli/`.

Every command ends with `os._exit` after flushing: the Temporal SDK's core threads sometimes crash an interpreter that
ends in the ordinary way (sdk-python issue 300), and a command that did its work must not say that it failed.
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from activities.database import DatabaseUnavailableError
from activities.telemetry_client import stop_tracing
from cli import exits
from policy.errors import CountersignError
from policy.screens.neutral import visible

# One module a line, in the order of `--help`, with the commands that its `register(commands)` adds.
MODULES = {
    "cli.dev": ("dev",),
    "cli.demo": ("demo",),
    "cli.setup": ("setup",),
    "cli.propose": ("propose",),
    "cli.pending": ("list",),
    "cli.show": ("show", "status", "explain"),
    "cli.decide": (
        *("approve", "deny", "abstain", "retract", "recuse"),
        *("request-info", "answer", "acknowledge", "release"),
    ),
    "cli.sign": ("sign",),
    "cli.keys": ("keys",),
    "cli.withdraw": ("withdraw",),
    "cli.notices": ("notices",),
    "cli.revoke": ("revoke",),
    "cli.accept": ("accept",),
    "cli.halt": ("halt",),
    "cli.reviews": ("reviews",),
    "cli.hold": ("hold", "holds"),
    "cli.unresolved": ("unresolved", "resolve"),
    "cli.amend": ("amend",),
    "cli.outcomes": ("outcomes",),
    "cli.outside": ("outside",),
    "cli.delegate": ("delegate",),
    "cli.policy": ("policy",),
    "cli.operations": ("operations",),
    "cli.catalog": ("catalog",),
    "cli.directory": ("directory",),
    "cli.simulate": ("simulate",),
    "cli.audit": ("audit",),
    "cli.record": ("record",),
    "cli.detect": ("detect",),
    "cli.codec": ("codec",),
    "cli.schema": ("schema",),
}


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The tree of commands; of one command only where it is known, which spares an approver the worker's imports."""
    found = argparse.ArgumentParser(prog="countersign", description="Durable authorization for autonomous operations.")
    commands = found.add_subparsers(metavar="COMMAND", required=True)
    wanted = [name for name, adds in MODULES.items() if command in adds] or list(MODULES)
    for name in wanted:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(commands)
    return found


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (`cli/exits.py`)."""
    given = sys.argv[1:] if arguments is None else arguments
    args = parser(given[0] if given else None).parse_args(given)
    try:
        code = asyncio.run(args.run(args))
    except (CountersignError, DatabaseUnavailableError) as error:
        sys.stderr.write(f"countersign: {_lines(str(error))}\n")
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    assert isinstance(code, int)
    return code


def _lines(text: str) -> str:
    """A message of which no character controls the terminal."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _is_read(more: str) -> bool:
    """Write the rest of the output; whether anybody still reads it."""
    try:
        sys.stdout.write(more)
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def main() -> None:
    """Run the command of this process, and end it."""
    code = exits.USAGE
    try:
        code = run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else exits.USAGE
    except BaseException as error:  # noqa: BLE001 - the process ends below without Python's own report
        if isinstance(error, BrokenPipeError) and not _is_read("\n"):
            code = exits.UNREAD
        else:
            sys.excepthook(*sys.exc_info())
            code = exits.FAILED
    finally:
        stop_tracing()
        _is_read("")
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
