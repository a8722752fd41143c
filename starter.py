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
from cli import exits
from policy.errors import CountersignError
from policy.screen import visible

# One module a line, in the order of `--help`; each has `register(commands)`.
MODULES = (
    "cli.dev",
    "cli.demo",
    "cli.setup",
    "cli.propose",
    "cli.pending",
    "cli.show",
    "cli.decide",
    "cli.withdraw",
    "cli.policy",
    "cli.audit",
    "cli.schema",
)


def parser() -> argparse.ArgumentParser:
    """The whole tree of commands."""
    found = argparse.ArgumentParser(prog="countersign", description="Durable authorization for autonomous operations.")
    commands = found.add_subparsers(metavar="COMMAND", required=True)
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(commands)
    return found


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (`cli/exits.py`)."""
    args = parser().parse_args(arguments)
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


def main() -> None:
    """Run the command of this process, and end it."""
    code = exits.USAGE
    try:
        code = run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else exits.USAGE
    except BaseException:  # noqa: BLE001 - the process ends below without Python's own report
        sys.excepthook(*sys.exc_info())
        code = exits.FAILED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
