r"""Untrusted text for people: shown, and without effect in the medium that shows it.

- Everywhere: one text is one line. What does not show, moves the cursor, turns the direction or piles up on a letter is
  written out by code point, `\u{202e}`; no control, ANSI, OSC or bidirectional control character is left.
- Everywhere: in a word that mixes Latin with another script, the letters of the other are written out, `p\u{0430}ypal`,
  so that it does not pass for Latin; so are Latin letters in disguise (fullwidth, mathematical). A word goes on over
  `. - _ @ : / '`, so that a host name is one word: Cyrillic before `.com` is written out. Latin with Chinese, Japanese
  or Korean is ordinary and stays (Unicode TR39, section 5.2, "highly restrictive").
- In sentences: what a renderer turns into a link, mention, issue or emoji by itself gets brackets: `https[:]//`,
  `www[.]`, `[@]here`, `[#]12`, `[:]tada:`, and in a proposer's words also `evil[.]example`.
- In markdown all that could be markup is escaped as well. In chat `<`, `>` and `&` are written out, too.
- A cut shows, and is made between written characters, never within one.

Not caught: a word that is all Cyrillic or all Greek and looks Latin; ASCII letters that look alike (`l`, `1`, `I`; `rn`
and `m`); fullwidth punctuation; right-to-left letters, which may move what follows them on their own line. Hence names
are ASCII by the contract, values are shown as ASCII JSON, and a proposer's sentence is the last on its line.
"""

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator

WORDS_LIMIT = 600
# Not those that are no markup anywhere: the Temporal UI shows the backslash in front of some of them.
_MARKUP = frozenset(string.punctuation) - frozenset("'\"%,/;=?@")
# Letters, marks and symbols that show nothing: fillers, joiners, variation selectors, the empty Braille cell.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_MARKS_IN_A_ROW = 2
_JOINERS = frozenset("._-@:/'")
_BESIDE_LATIN = frozenset(
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"}
)
_MICRO = "\u00b5"
# A renderer may look for these after it has read the escapes, so escaping them is not enough.
_EFFECTS = (
    (re.compile(r"\b(javascript|vbscript|data|mailto|xmpp|tel|sms|file):(?=\S)", re.IGNORECASE), r"\1[:]"),
    (re.compile(r":(?=//|(?![0-9]+:)[\w+-]{1,40}:)"), "[:]"),
    (re.compile(r"\b(www)\.", re.IGNORECASE), r"\1[.]"),
    (re.compile("@"), "[@]"),
    (re.compile(r"#(?=[0-9])"), "[#]"),
    (re.compile(r"\b(GH)-(?=[0-9])", re.IGNORECASE), r"\1[-]"),
)
_HOST_DOT = re.compile(r"(?<=[^\W_])\.(?=[^\W\d_]{2})")
_CHAT = "<>&"


def visible(text: str) -> str:
    """A text on one line in which everything that does not show, or passes for something else, is written out."""
    return text if text.isascii() and text.isprintable() else "".join(_written(text))


def sentence(text: str, limit: int = WORDS_LIMIT, *, hosts: bool = False) -> str:
    """An untrusted sentence for a terminal: links to nothing, mentions nobody.

    Args:
        text: what somebody wrote.
        limit: how many characters are shown, before brackets are put in.
        hosts: whether the dots of bare host names are broken, too; for what a proposer wrote.
    """
    shown = cut(text, limit).strip(" ")
    for effect, broken in _EFFECTS:
        shown = effect.sub(broken, shown)
    return _HOST_DOT.sub("[.]", shown) if hosts else shown


def markdown_text(text: str, limit: int = WORDS_LIMIT, *, hosts: bool = False) -> str:
    """The sentence as markdown that shows just that, also within a table."""
    return "".join("\\" + char if char in _MARKUP else char for char in sentence(text, limit, hosts=hosts))


def code_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """An untrusted text as a markdown code span, also within a table. What would end either is written out."""
    shown = cut(text, limit, also="`|")
    return f"`{shown}`" if shown.strip(" ") else "`(empty)`"


def chat_text(text: str, limit: int = WORDS_LIMIT, *, hosts: bool = False) -> str:
    """The sentence for a chat message: no control sequence of Slack, Teams, Mattermost or Discord survives."""
    return "".join(_by_code(char) if char in _CHAT else char for char in sentence(text, limit, hosts=hosts))


def cut(text: str, limit: int, *, also: str = "") -> str:
    """The beginning of a text, visible, in so many characters at most; a cut is marked by `…`.

    Args:
        text: what somebody wrote.
        limit: how many characters may be shown.
        also: characters that are written out besides those that always are.
    """
    # Every written character takes one place at least, so what lies far beyond the limit need not be looked at.
    head = text[: limit + 1]
    if head.isascii() and head.isprintable() and not any(char in head for char in also):
        return text if len(text) <= limit else text[: limit - 1] + "…"
    kept: list[str] = []
    size = 0
    for piece in _written(head, also):
        if size + len(piece) > limit:
            return _marked(kept, limit)
        kept.append(piece)
        size += len(piece)
    return "".join(kept)


def _marked(kept: list[str], limit: int) -> str:
    while kept and sum(map(len, kept)) > limit - 1:
        kept.pop()
    return "".join(kept) + "…"


def _written(text: str, also: str = "") -> Iterator[str]:
    """Each character as it is shown."""
    marks = 0
    for char, foreign in _by_word(text):
        kind = unicodedata.category(char)[0]
        marks = marks + 1 if kind == "M" else 0
        hidden = (kind in "CZ" and char != " ") or marks > _MARKS_IN_A_ROW or _BLANK.match(char)
        yield _by_code(char) if hidden or foreign or char in also or _disguised(char) else char


def _by_word(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it is a letter of another script in a word that mixes them."""
    word: list[str] = []
    for char in text:
        if char in _JOINERS or unicodedata.category(char)[0] in "LMNC":
            word.append(char)
            continue
        yield from _mixed(word)
        word = []
        yield char, False
    yield from _mixed(word)


def _mixed(word: list[str]) -> Iterable[tuple[str, bool]]:
    if "".join(word).isascii():
        return ((char, False) for char in word)
    scripts = [_script(char) for char in word]
    found = {script for script in scripts if script}
    mixes = len(found) > 1 and not found <= _BESIDE_LATIN
    return (
        (char, mixes and bool(script) and script not in _BESIDE_LATIN)
        for char, script in zip(word, scripts, strict=True)
    )


def _script(char: str) -> str:
    """The script of a letter as its Unicode name begins; nothing for what is no letter or of every script."""
    if unicodedata.category(char)[0] != "L" or char == _MICRO:
        return ""
    return unicodedata.name(char, "").split(" ")[0]


def _disguised(char: str) -> bool:
    """Whether a letter is an ASCII letter in another dress."""
    if char.isascii() or unicodedata.category(char)[0] != "L":
        return False
    plain = unicodedata.normalize("NFKC", char)
    return plain.isascii() and plain.isalpha()


def _by_code(char: str) -> str:
    return f"\\u{{{ord(char):04x}}}"
