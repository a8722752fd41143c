"""What hostile text cannot do to whoever reads it, in a terminal, in markdown and in a chat."""

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from policy.screens.neutral import chat_text, code_text, cut, markdown_text, sentence, visible
from tests.unit.hostile import TEXTS

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ONLY_TEXT = {"paragraph_open", "text", "text_special", "paragraph_close"}

# text, as it is shown, as markdown, as a code span
EXACTLY: dict[str, tuple[str, str, str, str]] = {
    "plain": ("more memory", "more memory", "more memory", "`more memory`"),
    "a link": ("[ok](http://x.y)", "[ok](http://x.y)", r"\[ok\]\(http\[\:\]//x\.y\)", "`[ok](http://x.y)`"),
    "a mention": ("@ann a@b.c", "@ann a@b.c", r"\[\@\]ann a\[\@\]b\.c".replace("\\@", "@"), "`@ann a@b.c`"),
    "a new heading": ("x\n# y", "x\\u{000a}# y", r"x\\u\{000a\}\# y", "`x\\u{000a}# y`"),
    "backticks": ("a`b``c", "a`b``c", r"a\`b\`\`c", "`a\\u{0060}b\\u{0060}\\u{0060}c`"),
    "a table cell": ("a|b\\|c", "a|b\\|c", r"a\|b\\\|c", "`a\\u{007c}b\\\\u{007c}c`"),
    "nothing": ("", "", "", "`(empty)`"),
    "spaces": ("   ", "   ", "", "`(empty)`"),
    "a colour": ("\x1b[31mred", "\\u{001b}[31mred", r"\\u\{001b\}\[31mred", "`\\u{001b}[31mred`"),
    "the other direction": ("a\u202eb", "a\\u{202e}b", r"a\\u\{202e\}b", "`a\\u{202e}b`"),
    "mixed scripts": ("p\u0430y", "p\\u{0430}y", r"p\\u\{0430\}y", "`p\\u{0430}y`"),
    "other scripts": ("größer, 更大, בוקר", "größer, 更大, בוקר", "größer, 更大, בוקר", "`größer, 更大, בוקר`"),
}

# text, as a proposer's sentence
SENTENCES = {
    "see https://x.example/a": "see https[:]//x[.]example/a",
    "www.x.example": "www[.]x[.]example",
    "javascript:alert(1) data:text/html,x": "javascript[:]alert(1) data[:]text/html,x",
    "data: 5, at 09:00:00, 1.2.3, e.g. this": "data: 5, at 09:00:00, 1.2.3, e.g. this",
    "@here a@b.example": "[@]here a[@]b[.]example",
    "#12 GH-12 # heading": "[#]12 GH[-]12 # heading",
    ":tada: :+1:": "[:]tada: [:]+1:",
    "\u0430\u0440\u0440\u04cf\u0435.com": "\\u{0430}\\u{0440}\\u{0440}\\u{04cf}\\u{0435}.com",
    "увеличить work_mem": "увеличить work_mem",
    "GPU使用率 10\u00b5s": "GPU使用率 10\u00b5s",
    "\U0001d400\uff21\u212a": "\\u{1d400}\\u{ff21}\\u{212a}",
}


@pytest.mark.parametrize(("text", "plain", "markdown", "code"), EXACTLY.values(), ids=EXACTLY)
def test_hostile_text(text: str, plain: str, markdown: str, code: str) -> None:
    """Untrusted text stays on its line, in its order and without effect, in a terminal and in markdown."""
    assert (visible(text), markdown_text(text), code_text(text)) == (plain, markdown, code)


@pytest.mark.parametrize(("text", "shown"), SENTENCES.items(), ids=SENTENCES.values())
def test_sentences(text: str, shown: str) -> None:
    """What a renderer would turn into a link, a mention or a picture by itself is broken; other text stays."""
    assert sentence(text, hosts=True) == shown


def _inline(markdown: str) -> list[Token]:
    return [child for token in MARKDOWN.parse(markdown) for child in (token.children or [token])]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_renderer_sees_text_only(text: str) -> None:
    """A CommonMark renderer finds a paragraph of text and nothing else: no link, image, html, list, heading or code."""
    assert {token.type for token in _inline(f"said: {markdown_text(text)}")} <= ONLY_TEXT


@given(st.text() | st.sampled_from(list(TEXTS.values())))
def test_no_text_escapes_its_line(text: str) -> None:
    """Whatever is written, one paragraph of text is shown, one cell stays one cell, and one code span is one."""
    assert {token.type for token in _inline(f"x {markdown_text(text)} y")} <= ONLY_TEXT
    row = f"| a | b |\n|---|---|\n| {markdown_text(text)} | {code_text(text)} |"
    cells = [token for before, token in pairwise(MARKDOWN.parse(row)) if before.type == "td_open"]
    assert len(cells) == 2
    assert [child.type for child in cells[1].children or []] == ["code_inline"]
    assert cells[1].content.startswith("`")


@given(st.text() | st.sampled_from(list(TEXTS.values())))
def test_shown_text_is_printable(text: str) -> None:
    """What is shown is printable, on one line, and showing it again changes nothing."""
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert not [char for char in shown if unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF")]


@given(st.text() | st.sampled_from(list(TEXTS.values())))
def test_chat_text_has_no_effect(text: str) -> None:
    """No mention, link or control sequence of a chat program is left."""
    shown = chat_text(text, hosts=True)
    assert not re.search(r"[<>&]|://|@(?!\])|\bwww\.|#[0-9]", shown)
    assert shown.isprintable()


@given(st.text(), st.integers(min_value=1, max_value=80))
def test_a_cut_fits_and_shows(text: str, limit: int) -> None:
    """No text is longer than its limit; what was cut says so, and no written-out character is cut in two."""
    shown = cut(text, limit)
    assert len(shown) <= limit
    whole = visible(text)
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1].rstrip("\\")))
    assert not re.search(r"\\u\{[0-9a-f]*(…|$)", shown) or "\\u" in text


def test_long_text_is_cut_visibly() -> None:
    """A text that is cut says so, before it is escaped, so that no escape is cut in two."""
    assert markdown_text("*" * 700) == "\\*" * 599 + "…"
    assert code_text("x" * 20, limit=10) == "`xxxxxxxxx…`"


@given(st.text(alphabet="abcXYZ .:/@#-_"))
def test_a_word_of_one_script_is_left_alone(text: str) -> None:
    """What is plain stays as it is, whatever its punctuation."""
    assert visible(text) == text
