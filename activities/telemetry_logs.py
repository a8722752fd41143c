"""Logs: JSON lines for machines, plain text on a terminal, through the standard library's logging.

- Each line of a workflow or an activity says which: workflow id, run id, activity and attempt, proposal id, action
  digest. They are read from the SDK's own context when the line is written, so no call has to pass them.
- A line is one JSON object whatever its message holds. Texts are cut, so that nobody fills the disk through one.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from temporalio import activity, workflow

from activities.telemetry import DIGEST
from policy.screens.neutral import visible
from workflows.interface import workflow_id

_CUT = 4000
_ACTION = workflow_id("")


def configure_logging(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Write this process's logs to a stream.

    Args:
        stream: where to; standard error by default. JSON lines, unless it is a terminal.
        level: from which level on our own lines are written; other libraries' from WARNING on.

    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter() if target.isatty() else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("countersign").setLevel(level)
    # What the SDK puts into messages is in the fields.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Where a line comes from; what is not known is left out."""
    found = {**_of_workflow(record), **_of_activity()}
    proposal_id = getattr(record, "proposal_id", None) or _proposal_id(found.get("workflow_id"))
    found |= {"proposal_id": proposal_id, "action_digest": DIGEST.get(), "codes": getattr(record, "codes", None)}
    return {name: value for name, value in found.items() if value}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_CUT],
            **fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-_CUT:]
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One line for people, of which no character controls the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        known = fields(record)
        where = " ".join(str(known[name]) for name in ("proposal_id", "activity") if name in known)
        line = f"{at} {record.levelname.lower():7} {record.name}: {visible(record.getMessage()[:_CUT])}"
        line = f"{line} [{visible(where)}]" if where else line
        if record.exc_info:
            trace = self.formatException(record.exc_info)[-_CUT:]
            line = "\n".join([line, *(visible(part) for part in trace.split("\n"))])
        return line


def _of_workflow(record: logging.LogRecord) -> dict[str, Any]:
    """From the lines of `workflow.logger`, which carries what it knows along."""
    known = getattr(record, "temporal_workflow", None) or {}
    names = {"workflow_id": "workflow_id", "run_id": "run_id", "workflow_type": "workflow_type"}
    return {name: known.get(key) for name, key in names.items()}


def _of_activity() -> dict[str, Any]:
    if not activity.in_activity():
        return {}
    info = activity.info()
    return {
        "workflow_id": info.workflow_id,
        "run_id": info.workflow_run_id or info.activity_run_id,
        "activity": info.activity_type,
        "attempt": info.attempt,
    }


def _proposal_id(of_workflow: str | None) -> str | None:
    if of_workflow is None or not of_workflow.startswith(_ACTION):
        return None
    return of_workflow.removeprefix(_ACTION)
