"""What time does to a stage, in words: for comparing two policies, of which only what differs is shown.

It takes a stage as JSON (`chain_text` of `policy/checks/meaning.py`), because that is what is compared.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def times_of(stage: Mapping[str, Any]) -> Iterator[str]:
    """The deadline and its verb, reminders, escalations, hours and pauses of a stage, a phrase each."""
    yield f"within {stage['deadline']}, then {stage['on_expiry']}"
    if stage["reminders"]:
        yield f"reminded after {', '.join(stage['reminders'])}"
    if stage["remind_every"]:
        yield f"reminded every {stage['remind_every']}"
    for step in stage["escalations"]:
        yield f"{_whom(step)} {'instead' if step['replace'] else 'added'} after {step['after']}"
    if step := stage["expiry_escalation"]:
        yield f"{_whom(step)} {'instead' if step['replace'] else 'added'} at the deadline"
    for field, word in (("hours", "counted"), ("remind_hours", "reminded")):
        if stage[field]:
            yield f"{word} in {_hours(stage[field])}"
    if stage["grace"]:
        yield f"with a grace of {stage['grace']}"
    if stage["on_request_info"] == "pause":
        yield "waiting for answers"


def _whom(step: Mapping[str, Any]) -> str:
    return ", ".join((*step["add_groups"], *(turn.replace("_", " ") for turn in step["to"])))


def _hours(hours: Mapping[str, Any]) -> str:
    """The open hours of each day, and how many dates are closed."""
    days = " ".join(f"{day} {','.join(spans)}" for day, spans in hours["days"].items())
    closed = len(hours["closed"])
    return f"{days} {hours['zone']}{f' but on {closed} dates' if closed else ''}"
