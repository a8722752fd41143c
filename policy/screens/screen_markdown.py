"""The screen as markdown, for the Temporal UI. Deterministic and without effect: workflow code may call it.

- Every piece that is not ours is escaped or in a code span (`policy/screens/neutral.py`), so a heading, link, image,
  table or list in it is only text.
- Lists only: that page is narrow, leaves no space between the cells of a table, and shows a quotation larger than
  everything else, which the proposer's words are not to be.
- The whole stays below 32 KiB: each list, line and piece has its limit.
"""

from policy.screen import Screen
from policy.screens.neutral import code_text, markdown_text
from policy.screens.screen_pieces import Line, Named, Piece, Said, Section
from policy.screens.screen_text import headline, sections

LIMIT_BYTES = 32 * 1024


def screen_markdown(screen: Screen) -> list[str]:
    """The head line, the measured sections, and last the proposer's words: blocks to be joined by an empty line."""
    return [f"**{markdown_line(headline(screen))}**", *map(section_markdown, sections(screen))]


def section_markdown(section: Section) -> str:
    """One section as a block."""
    return "\n".join([f"### {section.title}", *("- " + markdown_line(line) for line in section.lines)])


def markdown_line(line: Line) -> str:
    """One line; every piece that is not ours is escaped or in a code span."""
    return "".join(piece if isinstance(piece, str) else _piece(piece) for piece in line)


def _piece(piece: Piece) -> str:
    if isinstance(piece, Named):
        return code_text(piece.text, piece.limit)
    return markdown_text(piece.text, piece.limit, hosts=isinstance(piece, Said))
