"""The screen as plain text: for a terminal, and in short for a chat message.

- In a terminal only our titles and the head line begin at the left margin; everything else is indented, lines that
  were folded as well. So no text of a proposer can pass for a title. A wide character counts as two columns.
- A notice is ten lines at most, each with a label of ours in front; the proposer's words are cut to one line. It says
  where to look and answers nothing: nobody decides by a notice.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

from policy.screen import Screen
from policy.screens.neutral import chat_text, cut, sentence
from policy.screens.screen_draft import in_meaning
from policy.screens.screen_pieces import Line, Named, Piece, Said, Section
from policy.screens.screen_text import BREAKS, CHANGED, DENIED, HAPPENS, RECOMMENDED, UNDONE, headline, sections

WIDTH = 100
NOTICE_LINES, NOTICE_WIDTH, NOTICE_WORDS = 10, 300, 160
_MARGIN = "  "


def screen_plain(screen: Screen, width: int = WIDTH) -> str:
    """The screen for a terminal of so many columns."""
    head = fold(_line(headline(screen), _terminal), width, following=_MARGIN * 2)
    return "\n\n".join(["\n".join(head), *("\n".join(_section(section, width)) for section in sections(screen))])


def screen_notice(screen: Screen) -> str:
    """The screen in ten lines at most, for a chat message or a mail."""
    return "\n".join(chat_line(line) for line in notice_lines(screen))


def notice_lines(screen: Screen) -> tuple[Line, ...]:
    """The lines of the notice; the first says what, on what, how bad."""
    found = {section.title: section.lines for section in sections(screen)}
    lines: list[Line] = [("countersign asks: ", *headline(screen))]
    lines += [("denied before: ", *line) for line in found.get(DENIED, ())[:1]]
    lines += [("changed: ", *line) for line in found.get(CHANGED, ())[:1]]
    lines += found[HAPPENS][:2]
    lines += [("puts in force a ", Named(draft.kind), f": {in_meaning(draft)}")] if (draft := screen.draft) else []
    lines += [("breaks: ", *found[BREAKS][0]), ("undo of ", *found[UNDONE][0])]
    room = min(2, NOTICE_LINES - len(lines) - 2)
    lines += [("we recommend: ", *line) for line in found[RECOMMENDED][:room]]
    lines += [("look and answer: countersign show ", Named(screen.proposal_id))]
    lines += [("the proposer says (not verified): ", Said(screen.words, NOTICE_WORDS))]
    return tuple(lines)


def chat_line(line: Line) -> str:
    """One line for a chat message or a mail, cut."""
    return _clipped(_line(line, _chat))


def fold(text: str, width: int, *, first: str = "", following: str = "") -> list[str]:
    """A text on lines of so many columns, broken at spaces where there are some.

    Args:
        text: one line.
        width: columns of a line, margins included.
        first: what stands before the first line.
        following: what stands before every other.
    """
    lines = [first]
    for word in _words(text, width - max(len(first), len(following))):
        if columns_of(lines[-1] + word.rstrip(" ")) > width:
            lines[-1] = lines[-1].rstrip(" ")
            lines.append(following)
        lines[-1] += word
    return [line.rstrip(" ") for line in lines]


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char)[0] == "M":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _words(text: str, width: int) -> Iterator[str]:
    """The words with the spaces behind them; one that is too long for a line comes in pieces that are not."""
    for word in re.findall(r"[^ ]* *", text):
        piece, size = "", 0
        for char in word:
            if size + _columns(char) > width and char != " ":
                yield piece
                piece, size = "", 0
            piece, size = piece + char, size + _columns(char)
        yield piece


def _section(section: Section, width: int) -> Iterator[str]:
    yield section.title
    mark = "> " if section.quoted else ""
    for line in section.lines:
        text = _line(line, _terminal)
        yield from fold(text, width, first=_MARGIN + mark, following=_MARGIN + (mark or _MARGIN))


def _clipped(text: str) -> str:
    return text if len(text) <= NOTICE_WIDTH else text[: NOTICE_WIDTH - 1] + "…"


def _line(line: Line, write: Callable[[Piece], str]) -> str:
    return "".join(piece if isinstance(piece, str) else write(piece) for piece in line)


def _terminal(piece: Piece) -> str:
    if isinstance(piece, Named):
        return cut(piece.text, piece.limit)
    return sentence(piece.text, piece.limit, hosts=isinstance(piece, Said))


def _chat(piece: Piece) -> str:
    return chat_text(piece.text, piece.limit, hosts=isinstance(piece, Said))
