"""What an approver is shown, and what hostile text cannot do to it."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from policy.canonical import digest_of
from policy.catalog import Dependent, Reach
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.screen import Screen, code_text, make_screen, markdown_text, visible
from tests.unit.builders import T0, a_policy, at, facts_of, proposal_json, step_json

_DIGEST = "sha256:" + "0" * 64
_DOCUMENTS = DocumentDigests(policy=_DIGEST, operations=_DIGEST, catalog=_DIGEST, directory=_DIGEST)

# text, as plain text, as markdown, as a code span
HOSTILE: dict[str, tuple[str, str, str, str]] = {
    "plain": ("more memory", "more memory", "more memory", "`more memory`"),
    "a link": ("[ok](http://x.y)", "[ok](http://x.y)", r"\[ok\]\(http\[\:\]//x\.y\)", "`[ok](http://x.y)`"),
    "a bare link": ("see https://x.y", "see https://x.y", r"see https\[\:\]//x\.y", "`see https://x.y`"),
    "a link without a scheme": ("WWW.x.y", "WWW.x.y", r"WWW\[\.\]x\.y", "`WWW.x.y`"),
    "an image": ("![x](y)", "![x](y)", r"\!\[x\]\(y\)", "`![x](y)`"),
    "a mention": ("@ann a@b.c", "@ann a@b.c", r"\[@\]ann a\[@\]b\.c", "`@ann a@b.c`"),
    "html": ("<b onclick=x>&lt;", "<b onclick=x>&lt;", r"\<b onclick=x\>\&lt;", "`<b onclick=x>&lt;`"),
    "emphasis": ("**APPROVED**", "**APPROVED**", r"\*\*APPROVED\*\*", "`**APPROVED**`"),
    "a heading": ("# safe", "# safe", r"\# safe", "`# safe`"),
    "a new heading": (
        "x\n\n# safe",
        "x\\u{000a}\\u{000a}# safe",
        r"x\\u\{000a\}\\u\{000a\}\# safe",
        "`x\\u{000a}\\u{000a}# safe`",
    ),
    "a list": ("1. yes", "1. yes", r"1\. yes", "`1. yes`"),
    "a rule": ("---", "---", r"\-\-\-", "`---`"),
    "indented code": ("    code", "    code", "code", "`    code`"),
    "backticks": ("a`b``c", "a`b``c", r"a\`b\`\`c", "`a\\u{0060}b\\u{0060}\\u{0060}c`"),
    "a backslash at the end": ("a\\", "a\\", r"a\\", "`a\\`"),
    "a table cell": ("a|b\\|c", "a|b\\|c", r"a\|b\\\|c", "`a\\u{007c}b\\\\u{007c}c`"),
    "nothing": ("", "", "", "`(empty)`"),
    "spaces": ("   ", "   ", "", "`(empty)`"),
    "a colour": ("\x1b[31mred", "\\u{001b}[31mred", r"\\u\{001b\}\[31mred", "`\\u{001b}[31mred`"),
    "a C1 colour": ("\x9b31m", "\\u{009b}31m", r"\\u\{009b\}31m", "`\\u{009b}31m`"),
    "a title (OSC)": (
        "\x1b]0;x\x07",
        "\\u{001b}]0;x\\u{0007}",
        r"\\u\{001b\}\]0;x\\u\{0007\}",
        "`\\u{001b}]0;x\\u{0007}`",
    ),
    "a carriage return": ("no\ryes", "no\\u{000d}yes", r"no\\u\{000d\}yes", "`no\\u{000d}yes`"),
    "backspaces": ("no\b\b", "no\\u{0008}\\u{0008}", r"no\\u\{0008\}\\u\{0008\}", "`no\\u{0008}\\u{0008}`"),
    "the other direction": ("a\u202eb", "a\\u{202e}b", r"a\\u\{202e\}b", "`a\\u{202e}b`"),
    "an isolate": ("\u2066a\u2069", "\\u{2066}a\\u{2069}", r"\\u\{2066\}a\\u\{2069\}", "`\\u{2066}a\\u{2069}`"),
    "zero width": ("a\u200bb\ufeff", "a\\u{200b}b\\u{feff}", r"a\\u\{200b\}b\\u\{feff\}", "`a\\u{200b}b\\u{feff}`"),
    "a soft hyphen": ("a\u00adb", "a\\u{00ad}b", r"a\\u\{00ad\}b", "`a\\u{00ad}b`"),
    "a space that does not break": ("a\u00a0b", "a\\u{00a0}b", r"a\\u\{00a0\}b", "`a\\u{00a0}b`"),
    "a line separator": ("a\u2028b", "a\\u{2028}b", r"a\\u\{2028\}b", "`a\\u{2028}b`"),
    "a tag character": ("a\U000e0041", "a\\u{e0041}", r"a\\u\{e0041\}", "`a\\u{e0041}`"),
    "a variation selector": ("a\ufe0f", "a\\u{fe0f}", r"a\\u\{fe0f\}", "`a\\u{fe0f}`"),
    "a letter that shows nothing": (
        "a\u3164b\u2800",
        "a\\u{3164}b\\u{2800}",
        r"a\\u\{3164\}b\\u\{2800\}",
        "`a\\u{3164}b\\u{2800}`",
    ),
    "marks that pile up": (
        "a" + "\u0301" * 4,
        "a\u0301\u0301\\u{0301}\\u{0301}",
        "a\u0301\u0301\\\\u\\{0301\\}\\\\u\\{0301\\}",
        "`a\u0301\u0301\\u{0301}\\u{0301}`",
    ),
    "other scripts stay": (
        "größer, 更大, בוקר",
        "größer, 更大, בוקר",
        "größer, 更大, בוקר",
        "`größer, 更大, בוקר`",
    ),
    "private use": ("a\ue000", "a\\u{e000}", r"a\\u\{e000\}", "`a\\u{e000}`"),
}


@pytest.mark.parametrize(("text", "plain", "markdown", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text(text: str, plain: str, markdown: str, code: str) -> None:
    """Untrusted text stays on its line, in its order and without effect, in a terminal and in markdown."""
    assert (visible(text), markdown_text(text), code_text(text)) == (plain, markdown, code)


def _inline(markdown: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [child for token in tokens for child in (token.children or [token])]


@pytest.mark.parametrize("text", [text for text, *_ in HOSTILE.values()], ids=HOSTILE)
def test_a_renderer_sees_text_only(text: str) -> None:
    """A CommonMark renderer finds a paragraph of text and nothing else: no link, image, html, list, heading or code."""
    assert {token.type for token in _inline(f"said: {markdown_text(text)}")} <= {
        "paragraph_open",
        "text",
        "text_special",
        "paragraph_close",
    }


@given(st.text())
def test_no_text_escapes_its_line(text: str) -> None:
    """Whatever is written, one paragraph of text is shown, one cell stays one cell, and one code span is one."""
    shown = _inline(f"x {markdown_text(text)} y")
    assert {token.type for token in shown} <= {"paragraph_open", "text", "text_special", "paragraph_close"}
    row = f"| a | b |\n|---|---|\n| {markdown_text(text)} | {code_text(text)} |"
    tokens = MarkdownIt("commonmark").enable("table").parse(row)
    cells = [token for before, token in pairwise(tokens) if before.type == "td_open"]
    assert len(cells) == 2
    assert [child.type for child in cells[1].children or []] == ["code_inline"]
    assert cells[1].content.startswith("`")


@given(st.text())
def test_shown_text_is_printable(text: str) -> None:
    """What is shown is printable, on one line, and showing it again changes nothing."""
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown


def test_long_text_is_cut_visibly() -> None:
    """A text that is cut says so, before it is escaped, so that no escape is cut in two."""
    assert markdown_text("*" * 700) == "\\*" * 599 + "…"
    assert code_text("x" * 20, limit=10) == "`xxxxxxxxx…`"


def _revision(**changes: Any) -> tuple[Screen, Revision]:
    received = receive(proposal_json(**changes))
    nearest = tuple(Dependent(ref=f"component:default/s{at}", criticality="low", distance=1) for at in range(10))
    facts = facts_of(
        received.proposal,
        reach=Reach(total=12, hard=12, weight=3.0, nearest=nearest),
    )
    revision = assess_revision(
        received, facts, a_policy(), _DOCUMENTS, revision=1, assessed_at=T0, absolute_deadline=at(60)
    )
    return make_screen(received.proposal, revision, _DIGEST), revision


def test_screen() -> None:
    """Everything an approver needs is on the screen: facts from the record, words from the proposer, cut and marked."""
    screen, revision = _revision(
        rationale="a\n" + "b" * 700,
        alternatives=[{"operation": "pg.reset", "summary": "x\x1b" + "y" * 200}],
    )
    assert (screen.operation, screen.target, screen.resolved) == ("pg.set", "orders", ("pg-orders",))
    assert (screen.risk_tier, screen.risk_score) == (revision.assessment.risk_tier, revision.assessment.risk_score)
    assert screen.dependents[-1] == "and 2 more"
    assert len(screen.dependents) == 11
    assert screen.steps[0].undo == "pg.reset"
    assert screen.criteria == ('pg.setting {"name": "work_mem"} = "8MB"',)
    assert screen.requesters == ("ann",)
    assert screen.policy == "settings: require_approval"
    assert (screen.assessed_at, screen.absolute_deadline) == ("2030-01-01T09:00:00Z", "2030-01-01T10:00:00Z")
    assert screen.words.startswith("a\\u{000a}bbb")
    assert screen.words.endswith("…")
    assert len(screen.words) == 600
    assert screen.alternatives[0].startswith("pg.reset: x\\u{001b}yyy")
    contributions = [item[1] for item in screen.indicators]
    assert contributions == sorted(contributions, reverse=True)


def test_a_step_without_undo_is_shown_as_such() -> None:
    """What cannot be undone has no undo on the screen."""
    screen, _ = _revision(steps=[step_json(undo=None)])
    assert (screen.steps[0].undo, screen.steps[0].undo_parameters) == (None, {})


def test_presented_digest() -> None:
    """The digest covers what was shown, survives the wire, and does not change by a field that a release adds."""
    screen, _ = _revision(rationale="a")
    other, _ = _revision(rationale="b")
    assert screen.presented_digest != other.presented_digest
    assert Screen.model_validate_json(screen.model_dump_json()).presented_digest == screen.presented_digest

    class NewScreen(Screen):
        added: str = ""

    assert NewScreen.model_validate_json(screen.model_dump_json()).presented_digest == screen.presented_digest
    assert screen.presented_digest != digest_of({})


def test_a_revision_is_sealed() -> None:
    """The assessment digest is of the whole revision, and its case asks what the policy asked."""
    _, revision = _revision()
    case = revision.case()
    assert case is not None
    assert case.requesters == ("ann",)
    assert [stage.name for stage in case.chain.stages] == ["ops", "dba"]
    again = Revision.model_validate_json(revision.body())
    assert again == revision
    assert again.body() == revision.body()
    allowed, _ = _revision(), None
    session = _revision(operation="pg.end_session", steps=[step_json("pg.end_session", undo=None)])[1]
    assert session.case() is None
    assert allowed[1].body() == revision.body()
