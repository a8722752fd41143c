"""Reading a command line without a shell: what is a word, what is an option, and when nobody can tell.

- A line with anything in it that a shell would act on (`;`, `|`, `$`, a glob, a redirection) is not one command.
- An option that is not listed could take the next word as its value, so that no word after it is sure: it is not read.
"""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

_LINE_LIMIT = 20_000
_WORDS_LIMIT = 1000
_ACTED_ON = frozenset(";&|<>()$`*?[]{}~!#\\\n\r")
_ACTED_ON_IN_QUOTES = frozenset("$`\\!\n\r")
# Where an operating system or an administrator puts programs; anything else may be a program of that name.
_PLACES = ("", "/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/sbin/", "/sbin/")


@dataclass(frozen=True)
class ProposedOperation:
    """What a command would do, as an operation of the shipped registries.

    Attributes:
        operation: its name.
        target_kind: what kind of thing it acts on.
        parameters: as far as the line says them; one that is missing has to be given by whoever proposes.
        why: what it was read from.
    """

    operation: str
    target_kind: str
    parameters: Mapping[str, JsonValue]
    why: str


@dataclass(frozen=True)
class Line:
    """The words of a command and its options; `rest` is what follows `--`. An option that is only there is `""`."""

    words: tuple[str, ...]
    options: Mapping[str, str]
    rest: tuple[str, ...] = ()

    def has(self, *names: str) -> bool:
        """Whether any of these options is there and not switched off."""
        return any(self.options.get(name, "false") != "false" for name in names)

    def option(self, *names: str) -> str | None:
        """The value of the first of these options that is there."""
        return next((self.options[name] for name in names if name in self.options), None)


def split_command(line: str) -> tuple[str, ...] | None:
    """The words of a line as a shell would split it, or None where a shell would do more than that."""
    if len(line) > _LINE_LIMIT or not _is_plain(line):
        return None
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return None


def is_program(word: str, name: str) -> bool:
    """Whether a word names a program as it is installed."""
    return word in {f"{place}{name}" for place in _PLACES}


def read_line(arguments: Sequence[str], *, valued: Collection[str], plain: Collection[str]) -> Line | None:
    """The words and options after a program's name, or None where an option is not known or occurs twice.

    Args:
        arguments: the words after the program.
        valued: options that take a value.
        plain: options that take none, or take it only after `=`.
    """
    if len(arguments) > _WORDS_LIMIT:
        return None
    words: list[str] = []
    options: dict[str, str] = {}
    queue = iter(arguments)
    for word in queue:
        if word == "--":
            return Line(tuple(words), options, tuple(queue))
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        read = _option(word, queue, valued, plain)
        if read is None or read[0] in options:
            return None
        options[read[0]] = read[1]
    return Line(tuple(words), options)


def _option(word: str, queue: Iterator[str], valued: Collection[str], plain: Collection[str]) -> tuple[str, str] | None:
    name, is_given, value = word.partition("=")
    if is_given:
        return (name, value) if name in valued or name in plain else None
    if name in plain:
        return name, ""
    if name in valued:
        following = next(queue, None)
        return None if following is None else (name, following)
    # A short option with its value in the same word: -nshop.
    if not name.startswith("--") and name[:2] in valued:
        return name[:2], name[2:]
    return None


def _is_plain(line: str) -> bool:
    """Whether a shell would only split a line."""
    quote = ""
    for char in line:
        if quote:
            if char == quote:
                quote = ""
            elif quote == '"' and char in _ACTED_ON_IN_QUOTES:
                return False
        elif char in "'\"":
            quote = char
        elif char in _ACTED_ON:
            return False
    return not quote and "\0" not in line
