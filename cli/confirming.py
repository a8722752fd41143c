"""Asking whoever is at the terminal before something is signed or sent: by a word typed whole, never by Enter alone."""

import sys

from policy.errors import CountersignError


class UnattendedError(CountersignError):
    """Nobody is there to confirm what nobody has confirmed."""


def at_the_terminal() -> bool:
    """Whether a person is there to be asked."""
    return sys.stdin.isatty()


def refuse_unattended(look_with: str, *, confirmed: bool, silent: bool = False) -> None:
    """Refuse to go on where nobody can be asked.

    Args:
        look_with: the command that shows what is to be confirmed.
        confirmed: whether it was said before (`--yes`).
        silent: whether nothing is shown, so that nobody could know what they confirm.

    Raises:
        UnattendedError: it was not, and nobody is there.
    """
    if not confirmed and (silent or not at_the_terminal()):
        raise UnattendedError(f"nobody is there to confirm: look at it with `{look_with}`, then add --yes")


def confirms(question: str, word: str) -> bool:
    """Whether the person at the terminal types the word. It is asked on standard error: the output may go to a file."""
    print(f'{question} Type "{word}" to confirm: ', end="", file=sys.stderr, flush=True)
    return _plain(sys.stdin.readline()) == _plain(word)


def _plain(text: str) -> str:
    """`request info`, `request-info` and `request_info` are one word."""
    return text.strip().lower().replace("-", " ").replace("_", " ")
