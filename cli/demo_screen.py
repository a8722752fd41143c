"""What the demo shows: explanations, what the ledger says while it says it, and the table of the five at the end.

Colour and weight only where standard output is a terminal; every text from outside goes through `visible`.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import timeline
from policy.screens.neutral import visible

WIDTH = 120
_COLUMNS = ("", "proposal", "tier", "verdict", "decided by", "took", "outcome")
_WRAPPED = ("decided by", "outcome")
# In the ledger for auditors; on the screen they would repeat what the line before says.
_QUIET = frozenset({"resolved", "recorded"})


class Screen:
    """Prints to standard output, each line at once."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        width = None if terminal else WIDTH
        self._console = Console(force_terminal=terminal, width=width, highlight=False, legacy_windows=False)

    def heading(self, text: str) -> None:
        """The beginning of something."""
        self._print(Text(f"\n{text}", style="bold"))

    def say(self, text: str) -> None:
        """An explanation."""
        self._print(Text(visible(text)), lead="  ")

    def entry(self, entry: Mapping[str, Any]) -> None:
        """One ledger entry, as the record has it."""
        if entry["kind"] in _QUIET:
            return
        [(at, kind, said)] = timeline.lines([entry])
        lead = f"    {visible(at)[11:19]}  {visible(kind):18}"
        self._print(Text(visible(said), style="dim"), lead=lead)

    def found(self, text: str) -> None:
        """What is so now."""
        self._print(Text(visible(text), style="green"), lead="  → ")

    def broken(self, text: str) -> None:
        """A promise that was not kept."""
        self._print(Text(visible(text), style="bold red"), lead="  ✗ ")

    def plain(self, text: str) -> None:
        """Text that somebody else laid out."""
        self._console.print(Text(text), soft_wrap=True)

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """The five: number, proposal, tier, verdict, who decided, how long, outcome."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for name in _COLUMNS:
            table.add_column(name, overflow="fold", no_wrap=name not in _WRAPPED)
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        self._console.print(table)

    def _print(self, text: Text, lead: str = "") -> None:
        """A text behind `lead`, and further lines of it below its beginning."""
        for line in text.wrap(self._console, max(40, self._console.width - len(lead))):
            self._console.print(Text(lead, style=text.style).append_text(line), soft_wrap=True)
            lead = " " * len(lead)


def row(number: int, result: Mapping[str, Any], seconds: float) -> tuple[str, ...]:
    """One line of the table from an `ActionResult` as JSON; `seconds` from proposal to result."""
    people = [_voted(item) for item in result["decided_by"] if item.get("person_id")]
    kind = "limit" if any(reason["code"] == "limit" for reason in result["reasons"]) else "rule"
    rules = [f"{kind} {item['rule']}" for item in result["decided_by"] if item.get("rule")]
    return (
        str(number),
        result["proposal_id"],
        result["risk_tier"] or "",
        result["verdict"] or "",
        ", ".join(people or rules) or "nobody",
        f"{seconds:.1f} s",
        f"{result['resolution']}, {result['outcome']}",
    )


def _voted(item: Mapping[str, Any]) -> str:
    return str(item["person_id"]) if item["vote"] == "approve" else f"{item['person_id']} ({item['vote']})"
