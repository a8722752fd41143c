"""What an operator says of a command executor: which programs it may start, with which arguments, as whom.

1. `argv` is a list and no shell reads it. Its first item is the program, an absolute path without a place for a value.
   Each of the others stays one argument, whatever the values are, and no value becomes an option: what begins with `-`
   is refused where an argument begins with it, unless a `--` stands before.
2. The environment is empty but for what is written here and what the permit says (`COUNTERSIGN_PERMIT_ID`, and
   `COUNTERSIGN_PERMIT`, as it is signed). A secret stands there and in no argument, which everybody could see. What
   would hold a parameter that was not given is left out.
3. Exit statuses mean what `exits` says. One that is in none of the lists leaves it unknown what was done, and so does a
   signal, an end of the permitted time, or too much output.
4. It runs as `user`. As root it runs nothing, unless `as_root` says so.
"""

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, SecretStr, model_validator

from activities.executors.kinds import ExecutorSettings
from activities.executors.listing import Listing
from activities.executors.pointer import Pointer
from activities.executors.values import (
    ONLY_RESOLVED,
    OWN,
    Choice,
    Declared,
    TextWithPlaces,
    check_all_used,
    check_places,
    names,
)
from policy.base import Operation

ADDRESS = "target.address"
_ASKING = ("target.resource", ADDRESS)
_KILL_SECONDS = 15.0


def _argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    program = PurePosixPath(argv[0])
    if not program.is_absolute() or ".." in program.parts or any(names(argv[0])):
        raise ValueError("the program is an absolute path without .. and without a place for a value")
    if not all(item.isprintable() for item in argv):
        raise ValueError("an argument has control characters in it")
    return argv


def _not_ours(variable: str) -> str:
    if variable.startswith("COUNTERSIGN_"):
        raise ValueError("COUNTERSIGN_… is what the permit says")
    return variable


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute():
        raise ValueError("a directory is an absolute path")
    return path


Argv = Annotated[tuple[TextWithPlaces, ...], Field(min_length=1, max_length=200), AfterValidator(_argv)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"), AfterValidator(_not_ours)]
Environment = dict[Variable, TextWithPlaces]
Exit = Annotated[int, Field(ge=0, le=255)]


class Exits(ExecutorSettings):
    """What each exit status of a program that acts means.

    Attributes:
        done: it was done.
        refused: nothing was done, and nothing will be.
        changed: nothing was done, because the target is not what was resolved any more.
        unreachable: nothing was done, and the same may succeed later.
        failed: it was done, in whole or in part, and went wrong.
        when_stopped: they mean it, too, where the program ends after SIGTERM; otherwise that is unknown.
    """

    done: tuple[Exit, ...] = (0,)
    refused: tuple[Exit, ...] = ()
    changed: tuple[Exit, ...] = ()
    unreachable: tuple[Exit, ...] = ()
    failed: tuple[Exit, ...] = ()
    when_stopped: bool = False

    @model_validator(mode="after")
    def _apart(self) -> "Exits":
        every = (*self.done, *self.refused, *self.changed, *self.unreachable, *self.failed)
        if not self.done or len(set(every)) != len(every):
            raise ValueError("done has an exit status, and no status means two things")
        return self


class Observation(ExecutorSettings):
    """The program that looks whether an order was carried out: by its permit id, or by what the target looks like."""

    argv: Argv
    by: Literal["key", "effect"]
    done: tuple[Exit, ...] = (0,)
    none: tuple[Exit, ...] = ()


class Resolution(ExecutorSettings):
    """The program that writes what would be touched as JSON. `nothing` are the exit statuses that say: nothing."""

    argv: Argv
    listing: Listing
    nothing: tuple[Exit, ...] = ()


class Rehearsal(ExecutorSettings):
    """The program that rehearses; what it writes is shown."""

    argv: Argv
    done: tuple[Exit, ...] = (0,)


class CommandOperation(ExecutorSettings):
    """One operation: the program that acts, and those that look, resolve and rehearse, where there are some."""

    parameters: Declared = {}
    argv: Argv
    environment: Environment = {}
    exits: Exits = Exits()
    observe: Observation | None = None
    resolve: Resolution | None = None
    dry_run: Rehearsal | None = None

    @model_validator(mode="after")
    def _filled(self) -> "CommandOperation":
        acting = (*OWN, ADDRESS) if self.resolve else (*(name for name in OWN if name not in ONLY_RESOLVED), ADDRESS)
        used = check_places(self.parameters, _items("argv", self.argv), acting)
        used |= check_places(self.parameters, self.environment, acting, in_environment=True)
        check_all_used(self.parameters, used)
        for where, other, allowed in (
            ("observe", self.observe, acting),
            ("resolve", self.resolve, _ASKING),
            ("dry_run", self.dry_run, acting),
        ):
            if other is not None:
                check_places(self.parameters, _items(where, other.argv), allowed)
        return self

    @property
    def programs(self) -> tuple[str, ...]:
        """Every program that it may start."""
        others = (self.observe, self.resolve, self.dry_run)
        return (self.argv[0], *(other.argv[0] for other in others if other is not None))


class CommandProbe(ExecutorSettings):
    """One value that a program reads: by its exit status, or by what it writes.

    Attributes:
        by_exit: the value by exit status.
        value: where the value stands in the JSON that it writes.
        text: what it writes is the value, of that type.
        timeout_seconds: until it has to have ended.
    """

    parameters: Declared = {}
    argv: Argv
    by_exit: dict[Annotated[str, Field(pattern=r"^[0-9]{1,3}$")], JsonValue] | None = None
    value: Pointer | None = None
    text: Literal["string", "integer", "number", "boolean"] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10

    @model_validator(mode="after")
    def _filled(self) -> "CommandProbe":
        if [self.by_exit, self.value, self.text].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("a probe reads either by_exit, value or text")
        check_all_used(self.parameters, check_places(self.parameters, _items("argv", self.argv), _ASKING))
        return self


class Limits(ExecutorSettings):
    """What a program and everything that it starts may take; each process for itself, but for `processes`.

    Attributes:
        cpu_seconds: of the processor.
        memory_bytes: of address space; None for programs that reserve more than they use.
        files: open at once.
        processes: of the user at once; root has no such limit.
        file_bytes: the largest file that it may write.
        output_bytes: on stdout and on stderr, each.
    """

    cpu_seconds: Annotated[int, Field(ge=1)] = 60
    memory_bytes: Annotated[int, Field(ge=2**20)] | None = 2**30
    files: Annotated[int, Field(ge=8)] = 256
    processes: Annotated[int, Field(ge=1)] = 128
    file_bytes: Annotated[int, Field(ge=0)] = 64 * 2**20
    output_bytes: Annotated[int, Field(ge=1, le=8 * 2**20)] = 64 * 1024


class CommandSettings(ExecutorSettings):
    """The whole entry.

    Attributes:
        user: the account that programs run as; the worker's own where it is left out.
        group: the group; the account's own where it is left out.
        as_root: root may run them.
        gains_privileges: a program with setuid or capabilities of its file (`sudo`) gets them.
        directory: where programs start.
        environment: of every program.
        secrets: what parameters of type secret can name.
        stop_seconds: from SIGTERM to SIGKILL.
        shows_errors: the last line that a program writes to stderr stands in the record.
    """

    operations: dict[Operation, CommandOperation | Choice[CommandOperation]]
    probes: dict[Operation, CommandProbe | Choice[CommandProbe]] = {}
    user: Annotated[str, Field(min_length=1)] | None = None
    group: Annotated[str, Field(min_length=1)] | None = None
    as_root: bool = False
    gains_privileges: bool = False
    directory: Annotated[str, AfterValidator(_absolute)] = "/"
    environment: Environment = {}
    secrets: dict[str, SecretStr] = {}
    limits: Limits = Limits()
    stop_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    shows_errors: bool = False

    @model_validator(mode="after")
    def _constant(self) -> "CommandSettings":
        for name, text in self.environment.items():
            if any(names(text)):
                raise ValueError(f"environment.{name}: a place for a value belongs to an operation")
        return self

    @property
    def stops_within(self) -> timedelta:
        """How long a program may go on after it was told to stop, at most."""
        return timedelta(seconds=self.stop_seconds + _KILL_SECONDS)

    @property
    def programs(self) -> frozenset[str]:
        """Every program that may be started."""
        found: set[str] = set()
        entries: list[Any] = [*self.operations.values(), *self.probes.values()]
        for entry in entries:
            for item in entry.among.values() if isinstance(entry, Choice) else (entry,):
                found |= set(item.programs) if isinstance(item, CommandOperation) else {item.argv[0]}
        return frozenset(found)


def _items(where: str, argv: tuple[str, ...]) -> dict[str, str]:
    return {f"{where}.{number}": item for number, item in enumerate(argv)}
