"""What an operation does, read from its name and its description; conservative, and never from what it claims to be.

- Every verb of the name counts, and the worst wins: `get_or_create` creates. Where a name says first that it reads, a
  word that can be a noun is one: `get_build` reads.
- A description can make it worse: by its verbs at the beginning of a sentence, those joined to them, how it is done
  (`by deleting`), and what it will do. What a description says that it does not do is not counted, either way.
- What runs the text that it is given (a shell, a script, SQL) is destructive, whatever the text is meant to be.
- A name without a verb is read by its description. Without any verb that is known it is destructive.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from policy.importing.lexicon import (
    ACCESS,
    ANYTHING,
    CODE,
    DATABASES,
    FORMS,
    MAKES,
    NOUNS_AFTER_A_READ,
    NOUNS_UNLESS_FIRST,
    PHRASES,
    SENSITIVE,
    VERBS,
    Kind,
    words,
    worst,
)

_TEXT_LIMIT = 4000
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SENTENCES = re.compile(r"[.;:!?\n]+")
_WORDS = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[,/()]")
_QUOTED = re.compile(r"`[^`]*`|\b\w+_\w+\b")
_OPENINGS = words("""
a allows also an and api automatically can command either enables endpoint function helps immediately it lets may
operation permanently please quickly safely simply that the then this to tool use used utility which will you
""")
_JOINS = frozenset({"and", "or", "then", "/", ","})
_SAYS_HOW = frozenset({"by", "can", "will", "may", "also", "automatically", "it", "which", "that", "then"})
_DENIES = frozenset({"not", "never", "without", "cannot", "no", "nor", "don't", "doesn't", "won't", "can't", "instead"})
_ASKS = words("""
aggregation aggregations analysis lookup lookups queries query search searches
""")


@dataclass(frozen=True)
class Judged:
    """What an operation does at worst, and by which words.

    Attributes:
        kind: read, mutate or destructive.
        why: the words, for people.
        runs: it runs text that it is given.
        sensitive: what it reads or changes are secrets.
        access: what it changes decides who may do what.
    """

    kind: Kind
    why: str
    runs: bool = False
    sensitive: bool = False
    access: bool = False


def judge(name: str, description: str = "") -> Judged:
    """Read a name and a description.

    Args:
        name: of a tool or an action, in any case: `pods_list`, `DeleteBucket`, `get-secret`.
        description: in English; its first 4,000 characters are read.
    """
    tokens = split_name(name)
    text = _QUOTED.sub(" ", description[:_TEXT_LIMIT])
    found = [*_of_name(tokens), *_of_text(text)]
    runs = _runs(tokens) or any(why.startswith("runs ") for _, why in found)
    if not any(where.startswith("name") for _, where in found) and not found:
        return Judged(Kind.destructive, "no verb that is known: the worst is assumed", runs=runs)
    if runs:
        found.append((Kind.destructive, "it runs what it is given"))
    kind = worst(*(one for one, _ in found))
    said = {word.lower() for word in re.findall(r"[A-Za-z]+", _SENTENCES.split(text, 1)[0])} | set(tokens)
    return Judged(
        kind=kind,
        why=next(why for one, why in found if one is kind),
        runs=runs,
        sensitive=bool(SENSITIVE & said),
        access=kind is not Kind.read and bool(ACCESS & set(tokens)),
    )


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case."""
    spaced = _CAMEL.sub(" ", name[:200])
    return tuple(word.lower() for word in re.split(r"[^A-Za-z]+", spaced) if word)


def _of_name(tokens: tuple[str, ...]) -> list[tuple[Kind, str]]:
    found = [
        (at, word) for at, word in enumerate(tokens) if word in VERBS and (at == 0 or word not in NOUNS_UNLESS_FIRST)
    ]
    # A description says "returns" of what is read, a name "return" of what is brought back.
    brings = any(pair in PHRASES for pair in pairwise(tokens)) or tokens[:1] == ("return",)
    if found and VERBS[found[0][1]] is Kind.read:
        found = [
            (at, word)
            for at, word in found
            if word not in NOUNS_AFTER_A_READ or (at > 0 and tokens[at - 1] in ("and", "or", "then"))
        ]
    return [*((VERBS[word], f"name: {word}") for _, word in found), *[(Kind.mutate, "name: brings or takes")] * brings]


def _runs(tokens: tuple[str, ...]) -> bool:
    """Whether a name says that it runs a text: `run_command`, `sql`, `query_database`."""
    said = set(tokens)
    if said & {"query", "queries"} and said & DATABASES:
        return True
    verbs = [word for word in tokens if word in VERBS and word not in CODE]
    return bool(said & CODE) and (
        not verbs or any(word in said for word in ("run", "exec", "execute", "eval", "invoke"))
    )


def _of_text(text: str) -> Iterator[tuple[Kind, str]]:
    for number, sentence in enumerate(_SENTENCES.split(text)):
        yield from _of_sentence([word.lower() for word in _WORDS.findall(sentence)], first=number == 0)


def _of_sentence(sentence: list[str], *, first: bool) -> Iterator[tuple[Kind, str]]:
    """The verbs of a sentence that stand where a sentence says what is done."""
    lead = next((at for at, word in enumerate(sentence) if word not in _OPENINGS), len(sentence))
    led = False
    for at, word in enumerate(sentence):
        verb = FORMS.get(word)
        if verb is None or _DENIES & set(sentence[max(0, at - 3) : at]):
            continue
        before = sentence[at - 1] if at else ""
        if at == lead or (led and before in _JOINS and at - 2 in range(lead, at) and sentence[at - 2] in FORMS):
            led = True
            yield from _done(verb, sentence[at + 1 : at + 5], by="description")
        elif _is_said(verb, word, before, first=first):
            yield from _done(verb, sentence[at + 1 : at + 5], by="description")


def _is_said(verb: str, word: str, before: str, *, first: bool) -> bool:
    """Whether a verb within a sentence is one, and says what is done."""
    if VERBS[verb] is Kind.read:
        return False
    if before == "by":
        return word.endswith("ing") and (VERBS[verb] is Kind.destructive or verb in MAKES)
    certain = verb not in NOUNS_AFTER_A_READ and verb not in NOUNS_UNLESS_FIRST
    if before in _SAYS_HOW:
        return certain
    if before in ("and", "or", "/", "(") or (before == "to" and first):
        return certain and (word == verb or VERBS[verb] is Kind.destructive)
    return False


def _done(verb: str, following: list[str], by: str) -> Iterator[tuple[Kind, str]]:
    """What a verb of a description does. To run a query says nothing by itself; to run any query says the worst."""
    running = verb in ("run", "exec", "execute", "evaluate", "eval", "invoke", "perform")
    if running and (CODE | ANYTHING) & set(following):
        yield Kind.destructive, f"runs {' '.join(following)}"
    elif not running or not _ASKS & set(following) or DATABASES & set(following):
        yield VERBS[verb], f"{by}: {verb}"
