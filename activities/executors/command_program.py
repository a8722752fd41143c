"""Whether a program is one that only an administrator can have put there, and its arguments those of the entry.

1. Program, and every folder and link on the way to it, belong to root or to the account of the worker, and nobody else
   may write to them. A folder in which only owners replace things (`/tmp`) may be on the way.
2. It is looked at before each start: what nobody else can write, nobody else replaces in between.
3. Arguments: as many as the entry has, each with its values in their places (`command_settings.py`, rule 1).
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from activities.executors.base import PreconditionFailedError
from activities.executors.values import Named, Values, parts

_ROOT = 0
_SEPARATOR = "--"


class UnsafeProgramError(PreconditionFailedError):
    """A program could have been replaced by somebody else, or is none."""


def check_program(program: str, owner: int) -> None:
    """Refuse a program that is not safe.

    Args:
        program: an absolute path.
        owner: the account (uid) that may own it beside root.

    Raises:
        UnsafeProgramError: says why not.
        FileNotFoundError: there is none.
    """
    for path in dict.fromkeys((*_on_the_way(Path(program)), *_on_the_way(Path(program).resolve(strict=True)))):
        _check(path, path.lstat(), owner)
    found = Path(program).stat()
    if not stat.S_ISREG(found.st_mode) or not os.access(program, os.X_OK):
        raise UnsafeProgramError(f"program {program} is no file that can be executed")


def _on_the_way(path: Path) -> Iterator[Path]:
    yield from reversed(path.parents)
    yield path


def _check(path: Path, found: os.stat_result, owner: int) -> None:
    if found.st_uid not in (_ROOT, owner):
        raise UnsafeProgramError(f"{path} belongs to uid {found.st_uid}: it must be root's or the worker's own")
    if stat.S_ISLNK(found.st_mode):
        return
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    by_group = found.st_mode & stat.S_IWGRP and found.st_gid != _ROOT
    if (found.st_mode & stat.S_IWOTH or by_group) and not sticky:
        raise UnsafeProgramError(f"{path} can be written by others: chmod go-w {path}")


def arguments(argv: Sequence[str], values: Values) -> list[str]:
    """The arguments of an entry with their values.

    Args:
        argv: of the entry.
        values: what goes into it.

    Raises:
        PreconditionFailedError: a value is missing, or would be taken for an option.
    """
    found = [argv[0]]
    for item in argv[1:]:
        text = values.fill(item)
        begins_with_value = isinstance((parts(item) or ("",))[0], Named)
        if begins_with_value and text.startswith("-") and _SEPARATOR not in found:
            raise PreconditionFailedError(f"value {text[:100]!r} begins with a dash, and would be taken for an option")
        found.append(text)
    return found
