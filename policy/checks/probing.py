"""A finite set of questions that stands for every question: for comparing policies, and for finding what none covers.

- A policy tells operations, environments, targets, systems, owners and tiers apart only by what it names. So one probe
  stands for all that nobody names: `any other`, in each dimension.
- Operations that are registered and that no list tells apart are one probe; one that is named and not registered, and
  any other, has every combination of what the lists ask for (destructive, read-only, effects).
- A target of the catalog has the environment, system and owner that the catalog says; any other has every combination.
- Below its floor an operation has no tier; such a probe stands for nothing and is answered as the floor is.
- What matches at a probe is one number, a bit for each item, so that many probes cost little.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, combinations, product
from typing import Any, NamedTuple

from policy.catalog import Catalog, normalize
from policy.checks.regions import Dimension, Point
from policy.errors import DocumentError
from policy.operations import OperationsRegistry, RiskTier

LISTS = ("operations", "environments", "targets", "systems", "owners", "effects", "destructive", "read_only", "tiers")
MAX_PROBES = 200_000
OTHER = "any other"
_FIELDS = {"environments": "environment", "targets": "target", "systems": "system", "owners": "owner"}
_SHOWN = 4


class Kind(NamedTuple):
    """Operations that no list tells apart. `name` is the one that lists may name, `registered` are all of them."""

    label: str
    name: str
    destructive: bool
    read_only: bool
    effects: frozenset[str]
    floor: RiskTier = RiskTier.low
    registered: tuple[str, ...] = ()


class Spot(NamedTuple):
    """Targets that no list tells apart."""

    environment: str
    target: str
    system: str
    owner: str


def lists_of(scoped: Any) -> dict[str, frozenset[Any]]:
    """The lists that a match, a chain choice or a document's `covers` gives, by the names of `LISTS`."""
    found: dict[str, frozenset[Any]] = {}
    for name in LISTS:
        given = getattr(scoped, name, None)
        if isinstance(given, bool):
            found[name] = frozenset({given})
        elif given is not None:
            found[name] = frozenset(normalize(item) if name == "targets" else item for item in given)
    return found


class Probes:
    """All probes of some policies.

    Args:
        items: the lists of everything that may match, in the order of the bits.
        operations: the operations registry, where there is one.
        catalog: the catalog, where there is one.

    Raises:
        DocumentError: there are more combinations than can be asked.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, frozenset[Any]]],
        operations: OperationsRegistry | None,
        catalog: Catalog | None,
    ) -> None:
        self._items = items
        self.named = {name: set(chain.from_iterable(item.get(name, ()) for item in items)) for name in LISTS}
        self.kinds = tuple(_kinds(self.named, operations))
        self.spots = tuple(_spots(self.named, catalog))
        self.tiers = tuple(RiskTier) if self.named["tiers"] else (RiskTier.critical,)
        self._masks: dict[tuple[str, Any], int] = {}
        count = len(self.kinds) * len(self.spots) * len(self.tiers)
        if count > MAX_PROBES:
            raise DocumentError(
                f"the policies tell {count} cases apart, at most {MAX_PROBES} can be asked: compare them in parts"
            )

    def __len__(self) -> int:
        return len(self.kinds) * len(self.spots) * len(self.tiers)

    def __iter__(self) -> Iterator[tuple[Point, int]]:
        """Each probe, and what matches there."""
        for kind in self.kinds:
            of_kind = self._of_kind(kind)
            for spot in self.spots:
                of_spot = of_kind & self._of_spot(spot)
                for tier in self.tiers:
                    lowest = max(tier, kind.floor, key=lambda item: item.rank)
                    yield (kind.label, *spot, str(tier)), of_spot & self._mask("tiers", lowest)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The dimensions of the probes, for sentences."""
        return (
            Dimension("operation", _once(kind.label for kind in self.kinds), "{}", "every operation but {}"),
            Dimension("environment", _once(spot.environment for spot in self.spots), "in {}", "everywhere but {}"),
            Dimension("target", _once(spot.target for spot in self.spots), "on {}", "on every target but {}"),
            Dimension("system", _once(spot.system for spot in self.spots), "of {}", "of every system but {}"),
            Dimension("owner", _once(spot.owner for spot in self.spots), "owned by {}", "owned by all but {}"),
            Dimension("tier", tuple(str(tier) for tier in self.tiers), "at {}", "at every tier but {}"),
        )

    def _of_kind(self, kind: Kind) -> int:
        effects = self._any("effects", kind.effects)
        of_bools = self._mask("destructive", kind.destructive) & self._mask("read_only", kind.read_only)
        return self._mask("operations", kind.name) & of_bools & effects

    def _of_spot(self, spot: Spot) -> int:
        return (
            self._mask("environments", spot.environment)
            & self._mask("targets", spot.target)
            & self._mask("systems", spot.system)
            & self._mask("owners", spot.owner)
        )

    def _mask(self, name: str, value: Any) -> int:
        return self._any(name, frozenset({value}))

    def _any(self, name: str, values: frozenset[Any]) -> int:
        """The items whose list has one of the values, or that have none."""
        if (name, values) not in self._masks:
            self._masks[name, values] = sum(
                1 << number
                for number, item in enumerate(self._items)
                if name not in item or not item[name].isdisjoint(values)
            )
        return self._masks[name, values]


def _kinds(named: Mapping[str, set[Any]], operations: OperationsRegistry | None) -> Iterator[Kind]:
    registered: dict[tuple[str, bool, bool, frozenset[str], RiskTier], list[str]] = {}
    for item in operations.operations if operations else ():
        key = (
            item.name if item.name in named["operations"] else OTHER,
            item.destructive and bool(named["destructive"]),
            item.read_only and bool(named["read_only"]),
            frozenset(item.effects) & named["effects"],
            item.floor if named["tiers"] else RiskTier.low,
        )
        registered.setdefault(key, []).append(item.name)
    for (name, destructive, read_only, effects, floor), names in registered.items():
        yield Kind(_several(names), name, destructive, read_only, effects, floor, tuple(names))
    missing = sorted(named["operations"] - {key[0] for key in registered})
    for name in (*missing, OTHER):
        for destructive, read_only, effects in _natures(named):
            label = f"{OTHER} operation" if name == OTHER else name
            yield Kind(label + _nature(destructive, read_only, effects, named), name, destructive, read_only, effects)


def _natures(named: Mapping[str, set[Any]]) -> Iterator[tuple[bool, bool, frozenset[str]]]:
    """Every combination of what lists ask of an operation besides its name."""
    destructive = (False, True) if named["destructive"] else (False,)
    read_only = (False, True) if named["read_only"] else (False,)
    effects = sorted(named["effects"])
    groups = chain.from_iterable(combinations(effects, count) for count in range(len(effects) + 1))
    for harm, reads, group in product(destructive, read_only, list(groups)):
        if not (reads and (harm or group)):
            yield harm, reads, frozenset(group)


def _nature(destructive: bool, read_only: bool, effects: frozenset[str], named: Mapping[str, set[Any]]) -> str:
    words = ["destructive" if destructive else "not destructive"] if named["destructive"] else []
    words += ["read-only"] if read_only else []
    words += [f"with effect on {', '.join(sorted(effects))}"] if effects else []
    return f" ({', '.join(words)})" if words else ""


def _several(names: list[str]) -> str:
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"


def _spots(named: Mapping[str, set[Any]], catalog: Catalog | None) -> Iterator[Spot]:
    def known(field: str, value: str | None) -> str:
        return value if value in named[field] and value is not None else other(field)

    entities = [entity for ref in catalog.entities if (entity := catalog.entity(ref))] if catalog else []
    for entity in entities:
        if entity.ref in named["targets"]:
            where = known("environments", entity.environment)
            yield Spot(where, entity.ref, known("systems", entity.system), known("owners", entity.owner))
    missing = sorted(named["targets"] - {entity.ref for entity in entities})
    rest = [[*sorted(named[field]), other(field)] for field in ("environments", "systems", "owners")]
    for target, (environment, system, owner) in product((*missing, other("targets")), product(*rest)):
        yield Spot(environment, target, system, owner)


def other(field: str) -> str:
    """What stands for every value that nobody names; no name has a space in it."""
    return f"{OTHER} {_FIELDS[field]}"


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
