"""An outage, told in a few words, as the situation before the act: what a platform would have proposed, and the facts.

1. Only what was known before is read: action, actor, target, environment, whether it could be undone, and whether there
   was a plan to undo it. How far it went, which control was missing and which gate was expected are not looked at.
2. The words are looked up in general word lists, never by row. What no list knows is a change of unknown kind.
3. Somebody who proposes states what they believe: where the text says that the target or the environment was believed
   to be another, the proposal names that one, and the facts name the real one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


def _any_of(words: str) -> re.Pattern[str]:
    """One of these words; `*` stands for any ending, `_` for a space or a hyphen."""
    stems = "|".join(re.escape(word).replace(r"\*", r"\w*").replace("_", "[ -]") for word in words.split())
    return re.compile(rf"\b(?:{stems})\b", re.IGNORECASE)


# The first kind of which every list has a word decides; what destroys is looked for first.
_KINDS: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = (
    (
        "infra.capacity.remove",
        (
            _any_of(
                "remov* drain* decommission* terminat* shut* stop* evict* reboot* disabl* scal*_down scal*_in tak*_out"
            ),
            _any_of(
                "server* host* instance* node* capacity machine* vm* rack* replica* pod* worker* cluster* gateway*"
            ),
        ),
    ),
    (
        "infra.data.delete",
        (_any_of("delet* drop* truncat* wip* purg* eras* destroy* overwr* format* prun* rm recursive* clean* reset*"),),
    ),
    ("infra.software.upgrade", (_any_of("upgrad* patch* install* version* kernel* firmware* security_update*"),)),
    (
        "infra.network.change",
        (_any_of("bgp rout* prefix* ip_block* announce* firewall* peering acl* network* vlan* link* backbone"),),
    ),
    ("infra.failover.promote", (_any_of("promot* failover* fail_over switchover* demot* elect*"),)),
    (
        "infra.access.change",
        (_any_of("permission* role* credential* certificate* key* token* password* iam access* auth*"),),
    ),
    ("infra.plan.apply", (_any_of("plan* enactor* reconcil* terraform dns record* zone*"),)),
    ("infra.schema.change", (_any_of("migrat* schema* alter_table index* reindex* vacuum*"),)),
    (
        "infra.capacity.add",
        (_any_of("add* scal*_up scal*_out expand*"), _any_of("capacity server* host* node* instance*")),
    ),
    (
        "infra.config.push",
        (
            _any_of(
                "config* rule* setting* flag* polic* quota* push* deploy* roll* releas* chang* enabl* switch* update*"
            ),
        ),
    ),
    ("infra.service.restart", (_any_of("restart* bounc* recycl*"),)),
)
_EVERYWHERE = _any_of(
    "all every everywhere global* world* fleet entire whole each simultaneous* in_seconds at_once across"
)
_REGIONS = _any_of("region* cross_region datacent* zones continents")
_MANY = _any_of("bulk list_of batch* mass many multiple hundreds thousands tables sites accounts users recursive")
_PLURAL = _any_of("hosts nodes servers machines clusters proxies instances pods routers replicas")
_MISCOUNTED = _any_of("mistyp* typo argument* count number amount too_many larger more_than percent* wrong_value")
_FROZEN = _any_of("freeze frozen moratorium change_ban blackout no_change")
_BUSY = _any_of("peak working_day business_hours rush black_friday launch busy daytime morning")
_STALE = _any_of("old stale outdated delayed superseded out_of_date obsolete earlier previous_plan cached")
_PRODUCTION = _any_of("prod* region* global* customer* site*")
_BELIEVED = re.compile(
    r"\((?:[^()]*\b)?(?:believed|task was|meant|thought|assumed|supposed|intended)\s+(?:to be\s+)?([a-z0-9-]+)",
    re.IGNORECASE,
)
_MEANT = re.compile(r"\b(?:meant|intended|believed)\s*;|\bbelieved to be\b", re.IGNORECASE)


@dataclass(frozen=True)
class Situation:
    """What was known before one act. Shares are 0..1 of the target's capacity; `domains` counts failure domains."""

    name: str
    operation: str
    actor: str
    environment: str
    declared_environment: str
    resolved: int
    domains: int
    share: float
    target_as_meant: bool
    frozen: bool
    busy: bool
    stale: bool
    reversible: bool
    undo_proved: bool
    names_targets: bool = True


def situation_of(row: Mapping[str, str]) -> Situation:
    """The situation of one row of an outages table."""
    action, target, environment = row["action"], row["target"], row["environment"]
    told = f"{action}; {target}; {environment}"
    everywhere = bool(_EVERYWHERE.search(told)) or bool(_REGIONS.search(action))
    plural = bool(_PLURAL.search(f"{action} {target}"))
    many = everywhere or plural or bool(_MANY.search(f"{action} {target}"))
    real = "production" if _PRODUCTION.search(environment) else _word(environment)
    believed = _BELIEVED.search(environment)
    return Situation(
        name=row["id"],
        operation=_kind(action),
        actor=row["actor"],
        environment=real,
        declared_environment=_word(believed[1]) if believed else real,
        resolved=100 if everywhere else 20 if many else 1,
        domains=10 if everywhere else 3 if plural else 1,
        share=1.0 if everywhere else 0.4 if _MISCOUNTED.search(action) else 0.05,
        target_as_meant=not _MEANT.search(f"{target}; {action}"),
        frozen=bool(_FROZEN.search(action)),
        busy=bool(_BUSY.search(action)),
        stale=bool(_STALE.search(action)),
        reversible=row["reversible"].strip().lower().startswith("yes"),
        undo_proved=False,
    )


def _kind(action: str) -> str:
    found = (name for name, lists in _KINDS if all(words.search(action) for words in lists))
    return next(found, "infra.unknown")


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+.*", "", text.strip().lower()) or "unknown"
