"""How wide a list may be: as the terminal, or as `COLUMNS` says; in a pipe or a file no line is broken."""

import shutil

UNBROKEN = 100_000


def page_width() -> int:
    """Columns of the output."""
    return shutil.get_terminal_size((UNBROKEN, 0)).columns
