"""The texts of the command line: JSON values in, plain text out; nothing here reads, asks or prints.

- What an approver sees is written by `policy/screens/screen_plain.py`: measured facts first, the proposer's words last
  and labelled.
- Every text from outside goes through `policy.screens.neutral.visible`: no control character of it reaches a terminal.
- No colour and a fixed width: what an approver saw can be compared, pasted into a ticket and kept as a golden file.
  Only lists of actions and notices take the width of the page (`cli/page.py`).
"""

import io
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from activities.settings import CHANNELS_FILE
from policy.decision import Wanted
from policy.rules.stepping_up import said_of
from policy.screen import DRY_RUN, Screen
from policy.screens.neutral import visible
from policy.screens.screen_plain import WIDTH, screen_notice, screen_plain

DENIED_BEFORE = "denied before by"
NOT_TRIED = "waits"
_SHORT = 40
_FEW = 3
Behind = Mapping[tuple[int, str], str]
NOBODY: Behind = MappingProxyType({})
NO_STATUS: Mapping[str, Any] = MappingProxyType({"resolution": None, "stages": ()})
_ASSURANCE = {
    True: "assurance: claimed (identities are not verified: anybody can answer as anybody)",
    False: "assurance: proved (a decision counts by a signature or a login, never by a name alone)",
    None: "assurance: not known (its workflow does not say whether identities are verified)",
}


def headline(status: Mapping[str, Any]) -> str:
    """One line: which action, in which state, how bad."""
    state = status["state"] or status["resolution"] or "unknown"
    tier = f", {status['risk_tier']} ({status['risk_score']} of 100)" if status["risk_tier"] else ""
    return f"{_dry(status)}{_safe(status['proposal_id'])} revision {status['revision']}: {_safe(state)}{_safe(tier)}"


def halted(value: Mapping[str, Any]) -> list[str]:
    """By whom it is halted, and what that means; nothing where it is not."""
    said = value.get("halted")
    return [f"HALTED: {_safe(said)}", "answers count; nothing begins until two people release it"] if said else []


def screen(value: Mapping[str, Any], *, accepts_claimed: bool | None, ended: bool = False) -> str:
    """What would happen, how bad that is, how it is undone, and who asks.

    Args:
        value: a `policy.screen.Screen` as JSON.
        accepts_claimed: whether a name that nobody proves counts there; None where nobody says.
        ended: whether nobody is asked any more; its result says then what proved who decided.
    """
    try:
        shown = Screen.model_validate(value)
    except ValidationError as error:
        return f"what an approver sees cannot be read by this release: {error.error_count()} fields are wrong"
    return _join([*(() if ended else (_ASSURANCE[accepts_claimed], "")), screen_plain(shown, WIDTH)])


def notice(value: Mapping[str, Any]) -> str:
    """What an approver sees in ten lines, for a chat message or a mail."""
    return screen_notice(Screen.model_validate(value))


def standing(stages: Sequence[Mapping[str, Any]], due: Sequence[Mapping[str, Any]], behind: Behind = NOBODY) -> str:
    """Every stage, what it waits for, and what time will bring; empty where nobody is asked.

    Args:
        stages: as the query `status` gives them.
        due: what time will bring.
        behind: for whom somebody voted by a delegation, by stage and person.
    """
    if not stages:
        return ""
    rows = [
        (
            f"{stage['number']} {stage['name']}",
            stage["state"],
            _list(stage["missing"], "nobody") if stage["state"] in ("open", "held") else "",
            _voters(stage["approvals"], stage["number"], behind),
            _voters(stage["denials"], stage["number"], behind),
            _at(stage.get("deadline")),
        )
        for stage in stages
    ]
    table = _table(("stage", "state", "waits for", "approved by", "denied by", "deadline"), rows)
    return _join([table, *clocks(stages), *_coming((item["at"], item["text"]) for item in due)])


def clocks(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which stages' clocks stand still, and until when at the latest."""
    return [
        f"the clock of stage {_safe(item['name'])} waits for an answer until {_at(item['paused_until'])} at the latest"
        for item in stages
        if item.get("paused_until")
    ]


def digests(value: Mapping[str, Any]) -> str:
    """What a decision names, in full."""
    names = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")
    return _join(f"{name:18} {_safe(value.get(name) or 'none')}" for name in names)


def statement(value: Mapping[str, Any], signed_by: str, wanted: Wanted | None, *, claimed: bool) -> list[str]:
    """What is signed by whom, a line each.

    Args:
        value: a decision without its proof.
        signed_by: who signs, and by what, in words.
        wanted: what the proof must show.
        claimed: whether nobody proves who it is.
    """
    said = f", because {_safe(value['justification'])!r}" if value["justification"] else ""
    lines = [
        f"your decision: {_safe(value['vote'])} in stage {value['stage']}{said}",
        f"decision id    {_safe(value['decision_id'])}, valid until {_at(value['expires_at'])}",
        f"{'sent as' if claimed else 'signed by':14} {_safe(signed_by)}",
    ]
    lines += [f"{'valid at':14} {_safe(value['audience'])}, and nowhere else"] if "audience" in value else []
    return [*lines, *([f"{'it needs':14} {said_of(wanted)}"] if wanted is not None else [])]


# What a counted answer comes to, where it is about no action that waits.
OF_REVIEW = {"approved": "the review found it in order", "denied": "the review found it at fault"}
OF_ITEM = {"approved": "it is settled"}


def receipt(value: Mapping[str, Any], about: Mapping[str, str] | None = None) -> str:
    """The answer to a decision, on an action or on what is looked at afterwards: `about` says what that comes to."""
    if value["counted"]:
        head = f"counted: decision {_safe(value['decision_id'])}"
    else:
        head = f"refused ({_safe(value.get('code') or 'no code')}): {_safe(value['message'])}"
    missing = value.get("missing") or ()
    stands = about.get(value["resolution"], "it is open") if about is not None else None
    rest = [stands or f"the action is {_safe(value['resolution'])}"]
    if value["resolution"] == "pending" and missing:
        rest.append(f"still missing: {_list(missing)}")
    return _join([head, *rest, f"assurance: {_safe(value['assurance'])}"])


def result(value: Mapping[str, Any], behind: Behind = NOBODY) -> str:
    """How an action ended, why, and what the platform can do next; `behind` as in `standing`."""
    decided = [
        f"{_safe(item['vote'])} by {_voters([item['person_id']], item.get('stage') or 0, behind)}"
        if item.get("person_id")
        else f"{_safe(item['vote'])} by {_safe('rule ' + str(item.get('rule')))}"
        for item in value["decided_by"]
    ]
    return _join(
        [
            f"{_dry(value)}{_safe(value['resolution'])}, outcome {_safe(value['outcome'])}, next: {_next(value)}",
            *(f"- {_safe(reason['code'])}: {_safe(reason['message'])}" for reason in value["reasons"]),
            f"decided: {', '.join(decided) or 'by nobody'}; assurance: {_safe(value['assurance'])}",
            f"took: {_at(value['timings']['proposed_at'])} to {_at(value['timings']['finished_at'])}",
        ]
    )


def unanswered(status: Mapping[str, Any]) -> list[str]:
    """The questions that wait for an answer, each with the command that answers it; none once it was decided."""
    if status["resolution"] != "pending":
        return []
    return [
        f"{_safe(item['by'])} asked {_safe(item.get('asked') or 'the proposer')}: countersign answer "
        f"{_safe(status['proposal_id'])} --question {_safe(shlex.quote(item['decision_id']))} --because TEXT"
        for item in status.get("questions", ())
        if item.get("answered_by") is None
    ]


def to_answer(status: Mapping[str, Any]) -> str:
    """The section of `unanswered`; empty where nothing is asked."""
    return _join(_section("to answer", unanswered(status)))


def explain(value: Mapping[str, Any], status: Mapping[str, Any] = NO_STATUS) -> str:
    """Why an action is as it is, who could unblock it, and what happens at which time.

    Args:
        value: as the query `explain` gives it.
        status: as the query `status` gives it.
    """
    unblock = [f"stage {_safe(stage)}: {_list(groups)}" for stage, groups in value["could_unblock"].items()]
    return _join(
        [
            _safe(value["summary"]),
            *halted(value),
            *_section("waiting for", [_safe(item) for item in value["waiting_for"]]),
            *_section("what proves who decides", [_safe(item) for item in value.get("proofs", ())]),
            *_section("could unblock it", unblock),
            *_section(
                "any of these lines could finish this stage", [_list(people) for people in value.get("unblock", ())]
            ),
            *_section("clock", clocks(status["stages"])),
            *_section("then", _coming((item["at"], item["what"]) for item in value["then"])),
            *_section("questions", [_safe(item) for item in value.get("questions", ())]),
            *_section("to answer", unanswered(status)),
            *_section("because", [_safe(item) for item in value.get("because", ())]),
        ]
    )


def timeline(entries: Iterable[tuple[str, str, str]]) -> str:
    """The ledger of an action: instant, kind and what was said, in order."""
    rows = [(_at(at), kind, said) for at, kind, said in entries]
    return _table(("at", "what", "said"), rows) if rows else "no ledger entries"


def pending(rows: Sequence[Mapping[str, str]], width: int = WIDTH) -> str:
    """The actions that wait, as visibility lists them; who denied one before only where somebody did."""
    if not rows:
        return "nothing is waiting"
    columns: tuple[str, ...] = ("id", "state", "tier", "target", "environment", "waits for", "next deadline")
    if any(row.get(DENIED_BEFORE) for row in rows):
        columns = (*columns, DENIED_BEFORE)
    return _table(columns, [tuple(_at(row.get(name, "")) for name in columns) for row in rows], width)


def notices(rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Who was told what, the newest first."""
    if not rows:
        return "no notices"
    columns = ("at", "what", "action", "to", "state", "last attempt", "why")
    table = _table(columns, [(_at(row[0]), *row[1:]) for row in rows], width)
    if any(row[columns.index("state")] != NOT_TRIED for row in rows):
        return table
    return _join([table, "", f"none of these was tried: a worker sends them where {CHANNELS_FILE} is set"])


def keys(rows: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """The keys of a directory: whose each is, and whether it signs now."""
    if not rows:
        return "no keys"
    columns = ("whose", "id", "kind", "signs", "fingerprint")
    return _table(
        columns, [(row["holder"], row["id"], row["kind"], _signs(row, now), row["fingerprint"]) for row in rows]
    )


def _signs(row: Mapping[str, Any], now: datetime) -> str:
    if row["revoked_at"]:
        return f"never, revoked at {_at(row['revoked_at'])}"
    since, until = row["since"], row["until"]
    if until and datetime.fromisoformat(until) <= now:
        return f"no more, until {_at(until)}"
    if since and datetime.fromisoformat(since) > now:
        return f"not yet, from {_at(since)}"
    return f"now{f', until {_at(until)}' if until else ''}"


def _dry(value: Mapping[str, Any]) -> str:
    """The mark of a dry run; what an older release wrote was none."""
    return f"{DRY_RUN}: " if value.get("dry_run") else ""


def _next(value: Mapping[str, Any]) -> str:
    action = value["next_action"]
    if value.get("see"):
        return f"wait for {_safe(value['see'])}, it asks for the same effect"
    return {
        "none": "nothing to do",
        "propose_anew": "propose anew",
        "ask_a_person": "a person has to look, the target is under hold",
    }.get(action, _safe(action))


def _coming(items: Iterable[tuple[str, str]]) -> list[str]:
    """What time will bring; what comes again and again is said once, with the last time."""
    times: dict[str, list[str]] = {}
    for at, text in items:
        times.setdefault(text, []).append(at)
    few = [(at, text) for text, found in times.items() if len(found) <= _FEW for at in found]
    many = [
        (found[0], f"{text}, then {len(found) - 1} times more until {_at(found[-1])}")
        for text, found in times.items()
        if len(found) > _FEW
    ]
    return [f"{_at(at)}  {_safe(text)}" for at, text in sorted([*few, *many], key=lambda item: item[0])]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"- {line}" for line in lines)] if lines else []


def _list(items: Sequence[str], none: str = "nothing known") -> str:
    return ", ".join(_safe(item) for item in items) or none


def _voters(people: Sequence[str], stage: int, behind: Behind) -> str:
    """Who voted in a stage, and for whom."""
    return _list([f"{who} for {behind[stage, who]}" if (stage, who) in behind else who for who in people], "")


def _at(instant: Any) -> str:
    """An instant without fractions of a second: a deadline is never shown later than it is."""
    return re.sub(r"\.[0-9]+(?=Z$)", "", _safe(instant or ""))


def _safe(value: Any) -> str:
    return visible(str(value))


def _join(parts: Iterable[str]) -> str:
    return "\n".join(line.rstrip() for part in parts for line in (part.split("\n") if part else [""]))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        # An id in two pieces is hard to copy; a very long one must not crowd out the rest.
        short = number == 0 and all(len(row[0]) <= _SHORT for row in rows)
        table.add_column(name, overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(Text(_safe(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False, legacy_windows=False).print(table)
    return _join([out.getvalue().rstrip("\n")])
