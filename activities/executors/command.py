"""The executor for commands: programs that an operator allowed, by a list of arguments and never by a shell.

1. The program and the number of its arguments are the entry's; a proposal's values stand in their places
   (`command_program.py`). Who could replace the program would act with its rights: it is looked at before each start.
2. It runs bounded and supervised (`command_running.py`); when `execute` returns or raises, nothing of it runs any more.
3. Its exit status means what the entry says. Whatever else ends it leaves it unknown what was done.
4. The permit's id is in its environment as the key of the effect, so that the program can do once what it is asked
   twice, and another program can look for it afterwards.
5. What resolves, looks, rehearses or reads is a program of its own, and gets the reading address of the resource.
"""

import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import JsonValue

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    TargetChangedError,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.command_program import UnsafeProgramError, arguments, check_program
from activities.executors.command_running import Account, Ended, NotStartedError, run
from activities.executors.command_settings import ADDRESS, CommandOperation, CommandProbe, CommandSettings, Exits
from activities.executors.kinds import ExecutorSettingsError
from activities.executors.listing import read_targets
from activities.executors.places import Place, in_turn, places_of, resolved_in_each, seen_in_all
from activities.executors.pointer import PointerError, checked_value, find
from activities.executors.supporting import supported
from activities.executors.values import Values, chosen, names, own_of, values_of
from policy.canonical import canonical, parse_json
from policy.errors import CanonicalError
from policy.targets import Observes, ResolvedTarget

_LOOK_SECONDS = 20.0
_SHOWN = 200
_ROOT = 0


@dataclass(frozen=True)
class _Run:
    """A program that is ready to be started."""

    argv: Sequence[str]
    environment: Mapping[str, str]


class CommandExecutor:
    """Acts by programs of this machine.

    Args:
        settings: the operator's entry.
        targets: what each resource is called by the programs (`{target.address}`).
        name: under which permits call it.

    Raises:
        ExecutorSettingsError: an account or a program is none that may be used.
    """

    def __init__(self, settings: CommandSettings, targets: TargetCredentials, name: str = "command") -> None:
        self.name = name
        self._settings = settings
        self._targets = targets
        self._account = _account(settings)
        self.supports = supported(
            settings.operations,
            probes=frozenset(settings.probes),
            stops_within=settings.stops_within,
            observes=_observes,
            stops=lambda _: "within",
        )
        for program in sorted(settings.programs):
            try:
                check_program(program, os.geteuid())
            except (UnsafeProgramError, OSError) as error:
                raise ExecutorSettingsError(f"executor {name}: {_why(error, program)}") from error

    async def execute(self, order: Order) -> None:
        """Carry an order out; see `Executor.execute`."""
        order.check_real()
        operation, given = self._operation(order.operation, order.parameters)
        places = places_of(order, resolves=operation.resolve is not None)
        # Every argument list is made before the first program starts.
        prepared = {place.key: self._effect(operation, order, place, given) for place in places}

        async def act(place: Place) -> None:
            ended = await self._run(prepared[place.key], order, seconds=order.timeout.total_seconds())
            self._check(ended, operation.exits)

        await in_turn(order, places, act)

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """What the entry's program says that would be touched; see `Executor.resolve`."""
        operation, given = self._operation(inquiry.operation, inquiry.parameters)
        look = partial(self._resolved, operation, given) if operation.resolve is not None else None
        return await resolved_in_each(inquiry, look)

    async def dry_run(self, order: Order) -> str:
        """What the entry's program says that would be done; see `Executor.dry_run`."""
        operation, given = self._operation(order.operation, order.parameters)
        if operation.dry_run is None:
            raise PreconditionFailedError(f"there is no program that rehearses {order.operation}")
        found = []
        for place in places_of(order, resolves=operation.resolve is not None):
            values = self._values(operation.parameters, given, own_of(order, place), place.resource, reads=True)
            environment = {**_permitted(order, place), "COUNTERSIGN_DRY_RUN": "1"}
            ready = self._ready(operation.dry_run.argv, values, environment)
            ended = await self._run(ready, order, seconds=order.timeout.total_seconds())
            if ended.cut is not None or ended.status not in operation.dry_run.done:
                raise PreconditionFailedError(f"{place}: it would not be done: {self._how(ended)}")
            found.append(f"{place}: {_text(ended.out) or 'it would be done'}")
        return "; ".join(found)

    async def observe(self, order: Order) -> Seen:
        """What the entry's program sees of an order; see `Executor.observe`."""
        try:
            operation, given = self._operation(order.operation, order.parameters)
            if operation.observe is None:
                return "unknown"
            places = places_of(order, resolves=operation.resolve is not None)
            return seen_in_all([await self._seen(operation, order, place, given) for place in places])
        except PreconditionFailedError:
            return "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        """Read a probe's value; see `Executor.measure`."""
        try:
            # The registry may read a probe of its own by an entry of another name.
            found, given = chosen(self._settings.probes, order.query or order.probe, order.parameters)
            entry: CommandProbe = found
            own = {"target.resource": order.resource}
            values = self._values(entry.parameters, given, own, order.resource, reads=True)
            ended = await self._run(self._ready(entry.argv, values), seconds=entry.timeout_seconds)
            return checked_value(_value(entry, ended, self._how(ended)), order.reads or entry.text or "")
        except (PreconditionFailedError, PointerError) as error:
            raise ProbeError(f"probe {order.probe} on {order.resource}: {error}") from error

    def _operation(
        self, name: str, parameters: Mapping[str, JsonValue]
    ) -> tuple[CommandOperation, Mapping[str, JsonValue]]:
        return chosen(self._settings.operations, name, parameters)

    async def _resolved(
        self, operation: CommandOperation, given: Mapping[str, JsonValue], resource: str
    ) -> tuple[ResolvedTarget, ...]:
        entry = operation.resolve
        assert entry is not None
        values = self._values(operation.parameters, given, {"target.resource": resource}, resource, reads=True)
        ended = await self._run(self._ready(entry.argv, values), seconds=_LOOK_SECONDS)
        if ended.cut is None and ended.status in entry.nothing:
            return ()
        if ended.cut is not None or ended.status != 0:
            raise TargetUnreachableError(f"{resource} was asked what would be touched: {self._how(ended)}")
        return read_targets(entry.listing, _json(ended), resource)

    def _values(
        self,
        declared: Mapping[str, Any],
        given: Mapping[str, JsonValue],
        own: Mapping[str, str],
        resource: str,
        *,
        reads: bool,
    ) -> Values:
        address = self._targets.reading_url(resource) if reads else self._targets.url(resource)
        return values_of(declared, given, self._settings.secrets, {**own, ADDRESS: address})

    def _effect(self, operation: CommandOperation, order: Order, place: Place, given: Mapping[str, JsonValue]) -> _Run:
        values = self._values(operation.parameters, given, own_of(order, place), place.resource, reads=False)
        environment = {
            name: values.fill(text, secrets=True)
            for name, text in operation.environment.items()
            if all(values.has(each) for each in names(text))
        }
        return self._ready(operation.argv, values, {**environment, **_permitted(order, place)})

    async def _seen(
        self, operation: CommandOperation, order: Order, place: Place, given: Mapping[str, JsonValue]
    ) -> Seen:
        entry = operation.observe
        assert entry is not None
        values = self._values(operation.parameters, given, own_of(order, place), place.resource, reads=True)
        ended = await self._run(self._ready(entry.argv, values, _permitted(order, place)), seconds=_LOOK_SECONDS)
        if ended.cut is not None:
            return "unknown"
        return "done" if ended.status in entry.done else "none" if ended.status in entry.none else "unknown"

    def _ready(self, argv: Sequence[str], values: Values, more: Mapping[str, str] | None = None) -> _Run:
        constant = {name: values.fill(text) for name, text in self._settings.environment.items()}
        return _Run(arguments(argv, values), {**constant, **(more or {})})

    async def _run(self, ready: _Run, order: Order | None = None, *, seconds: float) -> Ended:
        """Run a program that was looked at.

        Raises:
            PreconditionFailedError: it is not safe, or did not start; nothing was done.
        """
        try:
            check_program(ready.argv[0], os.geteuid())
            return await run(
                ready.argv,
                ready.environment,
                self._settings,
                self._account,
                seconds=seconds,
                stop=order.stop if order else None,
            )
        except UnsafeProgramError:
            raise
        except (OSError, NotStartedError) as error:
            raise TargetUnreachableError(_why(error, ready.argv[0])) from error

    def _check(self, ended: Ended, exits: Exits) -> None:
        cut = ended.cut is not None and not (ended.cut == "stopped" and exits.when_stopped)
        if cut or ended.status is None or ended.status < 0:
            raise EffectUnknownError(self._how(ended))
        if ended.status in exits.done:
            return
        for statuses, kind in (
            (exits.refused, PreconditionFailedError),
            (exits.changed, TargetChangedError),
            (exits.unreachable, TargetUnreachableError),
            (exits.failed, ExecutorError),
        ):
            if ended.status in statuses:
                raise kind(self._how(ended))
        raise EffectUnknownError(self._how(ended))

    def _how(self, ended: Ended) -> str:
        """How a run ended, as a sentence; what it wrote only where the entry lets it be shown."""
        if ended.status is None:
            how = "nobody knows how the program ended"
        else:
            how = (
                f"the program ended with {f'status {ended.status}' if ended.status >= 0 else f'signal {-ended.status}'}"
            )
        if ended.cut:
            how += f", {ended.cut}"
        lines = ended.err.strip().splitlines()
        if not self._settings.shows_errors or not lines:
            return how
        said = _text(lines[-1])
        for secret in self._settings.secrets.values():
            said = said.replace(secret.get_secret_value(), "…")
        return f"{how}: {said}"


def make(name: str, given: Mapping[str, Any], targets: TargetCredentials) -> CommandExecutor:
    """The executor of an operator's entry."""
    settings = CommandSettings.model_validate_json(canonical(dict(given)))
    if sys.platform != "linux":
        raise ExecutorSettingsError(f"executor {name}: commands run on linux only, where what they start can be ended")
    return CommandExecutor(settings, targets, name)


def _observes(entry: CommandOperation) -> Observes:
    if entry.observe is None:
        return "never"
    return "by_key" if entry.observe.by == "key" else "by_effect"


def _account(settings: CommandSettings) -> Account | None:
    try:
        known = pwd.getpwnam(settings.user) if settings.user else None
        group = None if settings.group is None else _group(settings.group)
    except KeyError as error:
        raise ExecutorSettingsError(f"there is no account or group {error}: correct user or group") from None
    mine = os.geteuid()
    if (known.pw_uid if known else mine) == _ROOT and not settings.as_root:
        raise ExecutorSettingsError("programs would run as root: name a user, or say as_root if that is meant")
    if known is None and group is None:
        return None
    if mine != _ROOT:
        raise ExecutorSettingsError("only root can run programs as somebody else: remove user and group")
    user = known.pw_uid if known else mine
    return Account(user, group if group is not None else known.pw_gid if known else os.getegid())


def _group(name: str) -> int:
    import grp  # noqa: PLC0415 - only where a group is named

    return grp.getgrnam(name).gr_gid


def _permitted(order: Order, place: Place) -> dict[str, str]:
    found = {"COUNTERSIGN_PERMIT_ID": place.key}
    return {**found, "COUNTERSIGN_PERMIT": order.signed} if order.signed else found


def _why(error: Exception, program: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"program {program} does not exist"
    return str(error) if not isinstance(error, OSError) else f"program {program}: {error.strerror}"


def _text(written: bytes) -> str:
    text = " ".join(written.decode("utf-8", "replace").split())
    return "".join(letter for letter in text if letter.isprintable())[:_SHOWN]


def _json(ended: Ended) -> Any:
    try:
        return parse_json(ended.out, max_bytes=len(ended.out))
    except CanonicalError:
        raise PreconditionFailedError("the program wrote no strict json, or it is nested too deep") from None


def _value(entry: CommandProbe, ended: Ended, how: str) -> Any:
    if ended.cut is not None or ended.status is None:
        raise PreconditionFailedError(how)
    if entry.by_exit is not None:
        if str(ended.status) not in entry.by_exit:
            raise PreconditionFailedError(f"{how}, which means nothing")
        return entry.by_exit[str(ended.status)]
    if ended.status != 0:
        raise PreconditionFailedError(how)
    if entry.value is not None:
        return find(_json(ended), entry.value)
    if entry.text == "string":
        return ended.out.decode("utf-8", "replace").strip()
    return _json(ended)
