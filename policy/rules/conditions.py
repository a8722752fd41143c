"""Conditions: the CEL expressions of a policy, on actions and on people. The only file that knows the engine
(cel-expr-python, pinned).

- An expression is checked when the document is read: syntax, every name, every type, and that its result is a bool.
  Names are declared with their dots (`risk.score`), so that a typo is found there and not at three in the morning.
- A condition holds, does not hold, or fails. What fails is no answer: `ConditionError`, and the caller denies.
- A value that nobody knows is left out, so that a condition which reads it fails. Ask `…_known` first.
- Expressions see no free text of the proposer: there is no name for it. Parameters they do see.
- A hostile expression ends soon. The engine stops at 10,000 iterations and at a nesting of 32, and its regular
  expressions are RE2. It does not stop a value that doubles in every step (measured: 24 times `.map(x, x + x)` is
  160 MB), so `map` is refused, and so is adding or more than two macros inside a condition that iterates.

CEL: https://github.com/google/cel-spec (langdef.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from cel_expr_python import cel  # type: ignore[import-untyped]
from pydantic import AfterValidator

from policy.errors import ConditionError, DocumentError

MAX_LENGTH = 1000
MAX_LENGTH_OF_TWO_MACROS = 400
MAX_MACROS = 2
_T = cel.Type
_TEXTS = _T.List(_T.STRING)

# The environment of every condition; `docs/spec/policy-document.md` says what each name means.
NAMES: Mapping[str, Any] = {
    "operation.name": _T.STRING,
    "operation.executor": _T.STRING,
    "operation.severity": _T.INT,
    "operation.floor": _T.STRING,
    "operation.effects": _TEXTS,
    "operation.destructive": _T.BOOL,
    "operation.read_only": _T.BOOL,
    "operation.is_undo": _T.BOOL,
    "operation.needs_no_undo": _T.BOOL,
    "parameters": _T.Map(_T.STRING, _T.DYN),
    "action.operation": _T.STRING,
    "action.operations": _TEXTS,
    "action.steps": _T.INT,
    "action.change_type": _T.STRING,
    "action.on_behalf_of": _T.STRING,
    "action.remedies_hold": _T.BOOL,
    "action.takes_over": _T.BOOL,
    "action.dry_run": _T.BOOL,
    "action.evidence": _T.INT,
    "action.alternatives": _T.INT,
    "agent.id": _T.STRING,
    "agent.owner": _T.STRING,
    "agent.confidence": _T.DOUBLE,
    "agent.confidence_known": _T.BOOL,
    "target.ref": _T.STRING,
    "target.environment": _T.STRING,
    "target.criticality": _T.STRING,
    "target.owner": _T.STRING,
    "target.system": _T.STRING,
    "target.dependents": _T.INT,
    "target.hard_dependents": _T.INT,
    "target.failure_domains": _TEXTS,
    "target.holds": _T.INT,
    "resolved.count": _T.INT,
    "resolved.ids": _TEXTS,
    "resolved.share": _T.DOUBLE,
    "resolved.share_known": _T.BOOL,
    "risk.score": _T.INT,
    "risk.tier": _T.STRING,
    "risk.rank": _T.INT,
    "risk.floor": _T.STRING,
    "risk.impact": _T.DOUBLE,
    "risk.likelihood": _T.DOUBLE,
    "indicators": _T.Map(_T.STRING, _T.DOUBLE),
    "time.now": _T.TIMESTAMP,
    "time.peak": _T.BOOL,
    "time.plan_age": _T.DURATION,
    "time.plan_age_known": _T.BOOL,
    "windows": _TEXTS,
    "freezes": _TEXTS,
    "stale": _TEXTS,
    "history.succeeded": _T.INT,
    "history.compensated": _T.INT,
    "history.failed": _T.INT,
    "history.unknown": _T.INT,
    "history.denials": _T.INT,
    "history.in_flight": _T.INT,
    "history.last_hour": _T.INT,
    "undo.declared": _T.BOOL,
    "undo.proved": _T.BOOL,
    "undo.seconds": _T.INT,
    "undo.seconds_known": _T.BOOL,
    "slo.known": _T.BOOL,
    "slo.budget_left": _T.DOUBLE,
}
# What a requirement's `when` can read of a person. `person.team` and `person.manager` are unknown where nobody says.
PERSON_NAMES: Mapping[str, Any] = {
    "person.id": _T.STRING,
    "person.groups": _TEXTS,
    "person.roles": _TEXTS,
    "person.qualifications": _TEXTS,
    "person.team": _T.STRING,
    "person.manager": _T.STRING,
}
_ENV = cel.NewEnv(variables=dict(NAMES))
_PERSON_ENV = cel.NewEnv(variables=dict(PERSON_NAMES))
# A quoted text, of three quotes or one, raw or with escapes, or a comment. What is inside is no syntax.
_INERT = re.compile(
    r"""(?:[rR][bB]?|[bB][rR])(?:\'\'\'[\s\S]*?\'\'\'|"{3}[\s\S]*?"{3}|'[^'\n]*'|"[^"\n]*")"""
    r"""|\'\'\'(?:\\[\s\S]|[^\\])*?\'\'\'|"{3}(?:\\[\s\S]|[^\\])*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|//[^\n]*"""
)
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|filter|map)\s*\(")
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


class Environment:
    """The values of all names for one operation of one action; made once, asked by many conditions."""

    _engine: ClassVar[Any] = _ENV

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take the values that are known.

        Args:
            values: by names of `NAMES`. A name that is left out is unknown.
        """
        self._activation = self._engine.Activation(dict(values))

    @property
    def activation(self) -> Any:
        """What the engine reads."""
        return self._activation


class PersonEnvironment(Environment):
    """The values of `PERSON_NAMES` for one person."""

    _engine = _PERSON_ENV


@dataclass(frozen=True)
class Condition:
    """A checked expression about an action."""

    text: str
    _expression: Any
    engine: ClassVar[Any] = _ENV

    @classmethod
    def compile(cls, text: str) -> Self:
        """Check an expression; each is compiled once.

        Raises:
            DocumentError: with line and column inside of the expression, where there is one.
        """
        kind: Any = cls
        found: Self = _compile(kind, text)
        return found

    def holds(self, environment: Environment) -> bool:
        """Whether it is true.

        Raises:
            ConditionError: it has no answer: a value is unknown or of another type, or it takes too long.
        """
        try:
            found = self._expression.eval(environment.activation).value()
        except RuntimeError as error:  # the engine's budget
            raise ConditionError(_said(str(error))) from None
        if not isinstance(found, bool):
            raise ConditionError(_said(str(found)))
        return found


class PersonCondition(Condition):
    """A checked expression about a person, asked of a `PersonEnvironment`: the `when` of a requirement."""

    engine = _PERSON_ENV


@lru_cache(maxsize=20_000)
def _compile(kind: type[Condition], text: str) -> Any:
    _refuse_hostile(text)
    try:
        expression = kind.engine.compile(text)
    except RuntimeError as error:
        raise DocumentError(_first_error(str(error))) from None
    if expression.return_type() != _T.BOOL:
        raise DocumentError(f"condition is of type {expression.return_type().name().lower()}, it must be a bool")
    return kind(text, expression)


def _refuse_hostile(text: str) -> None:
    if not text.strip():
        raise DocumentError("condition is empty, leave it out or write one")
    bare = _INERT.sub("''", text)
    macros = [found[1] for found in _MACRO.finditer(bare)]
    longest = MAX_LENGTH if len(macros) < MAX_MACROS else MAX_LENGTH_OF_TWO_MACROS
    if len(text) > longest:
        raise DocumentError(f"condition has {len(text)} characters, {longest} are read at most: make two rules of it")
    if "map" in macros:
        raise DocumentError("condition uses map, which can make a value of any size: use exists, all or filter")
    if len(macros) > MAX_MACROS:
        raise DocumentError(f"condition iterates {len(macros)} times, {MAX_MACROS} are read at most")
    if macros and "+" in bare:
        raise DocumentError("condition iterates and adds, which can make a value of any size: do one of the two")


def _first_error(text: str) -> str:
    found = _PLACE.search(text)
    if found is None:
        return f"condition is refused: {_said(text)}"
    return f"condition line {found[1]}, column {found[2]}: {found[3].removesuffix(' [INVALID_ARGUMENT]')[:150]}"


def _said(text: str) -> str:
    """The engine's words without its codes."""
    line = text.splitlines()[0] if text else "no reason given"
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", line)[:200]


def _checked(text: str) -> str:
    try:
        Condition.compile(text)
    except DocumentError as error:
        raise ValueError(str(error)) from None
    return text


# A field of a document that holds a condition: a text that was checked.
Expression = Annotated[str, AfterValidator(_checked)]
