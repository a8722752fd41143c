"""What a `helm`, `systemctl` or `psql` line does, as an operation of the shipped registries.

- SQL is read only where it is one plain statement of a form that is known. A function that is called could do anything,
  but for the few that end or cancel a session.
- Several releases or units at once, another machine, another user's services, and what comes from a file are not read.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from policy.importing.arguments import Line, ProposedOperation, read_line
from policy.importing.lexicon import words

_HELM_VALUED = words("""
-n --namespace --kube-context --kubeconfig --version -f --values --set --set-string --timeout --history-max --max -o
--output --revision --description -l --selector
""")
_HELM_PLAIN = words("""
-A --all-namespaces -a --all --install -i --wait --wait-for-jobs --atomic --dry-run --reuse-values --reset-values
--cleanup-on-fail --create-namespace --keep-history -q --short --debug --no-hooks --force --recreate-pods
--show-resources
""")
_HELM_READS = ("list", "ls", "status", "history", "hist", "version", "search", "show", "inspect")
_RELEASE = re.compile(r"[a-z0-9][a-z0-9.-]{0,52}")

_SYSTEMCTL_PLAIN = words("""
--no-pager -q --quiet -l --full --no-legend --plain -a --all --failed
""")
_SYSTEMCTL_VALUED = words("""
-n --lines -o --output -t --type -p --property --state
""")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@_.-]{0,199}")
_UNIT_READS = (
    "status",
    "show",
    "cat",
    "is-active",
    "is-enabled",
    "is-failed",
    "list-units",
    "list-unit-files",
    "list-timers",
)
_UNIT_CHANGES = ("start", "stop", "restart", "reload", "enable", "disable")
_MACHINE = ("reboot", "poweroff", "halt", "kexec", "suspend", "hibernate", "rescue", "emergency")

_PSQL_VALUED = words("""
-c --command -h --host -p --port -U --username -d --dbname -F -P -R
""")
_PSQL_PLAIN = words("""
-A -t -At -tA -q -X -x -w -E -e -l --list -1 -Atq --no-psqlrc --csv
""")
_IDENTIFIER = r"[a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?"
_SETTING = r"[a-z_][a-z0-9_.]{0,62}"
_CATALOGS = re.compile(r"(?:pg_catalog\.)?pg_[a-z_]+|information_schema\.[a-z_]+")
# What a plain SELECT never needs: calls, row locks, new tables, statements within it.
_MORE_THAN_READING = re.compile(
    r"\(|\b(?:into|for|insert|update|delete|merge|truncate|create|drop|alter|call|do|execute|copy|grant|revoke|lock)\b"
)
_SQL: tuple[tuple[str, str], ...] = (
    (rf"show (?P<name>{_SETTING})", "postgres.parameter.read"),
    (rf"alter system set (?P<name>{_SETTING}) *(?:=|to) *'?(?P<value>[^';]{{1,200}}?)'?", "postgres.parameter.set"),
    (rf"alter system reset (?P<name>(?!all$){_SETTING})", "postgres.parameter.reset"),
    (r"select pg_reload_conf\(\)", "postgres.configuration.reload"),
    (r"select pg_cancel_backend\((?P<pid>[0-9]{1,9})\)", "postgres.session.cancel"),
    (r"select pg_terminate_backend\((?P<pid>[0-9]{1,9})\)", "postgres.session.terminate"),
    (rf"analyze (?:verbose )?(?P<table>{_IDENTIFIER})", "postgres.table.analyze"),
    (rf"vacuum (?P<table>(?!full\b|analyze\b|freeze\b|verbose\b){_IDENTIFIER})", "postgres.table.vacuum"),
    (rf"vacuum analyze (?P<table>{_IDENTIFIER})", "postgres.table.vacuum"),
    (rf"vacuum full (?P<table>{_IDENTIFIER})", "postgres.table.vacuum_full"),
    (rf"cluster (?P<table>{_IDENTIFIER})", "postgres.table.vacuum_full"),
    (rf"reindex index concurrently (?P<index>{_IDENTIFIER})", "postgres.index.reindex"),
    (rf"drop index concurrently (?:if exists )?(?P<index>{_IDENTIFIER})", "postgres.index.drop"),
    (rf"truncate (?:table )?(?P<table>{_IDENTIFIER})", "postgres.table.truncate"),
    (rf"drop table (?:if exists )?(?P<table>{_IDENTIFIER})", "postgres.table.drop"),
    (r"drop database (?:if exists )?(?P<database>[a-z_][a-z0-9_]{0,62})", "postgres.database.drop"),
)
_CREATE_INDEX = re.compile(
    rf"create (?P<unique>unique )?index concurrently (?P<index>{_IDENTIFIER}) on (?P<table>{_IDENTIFIER}) *"
    r"\((?P<columns>[a-z_][a-z0-9_]*(?: *, *[a-z_][a-z0-9_]*)*)\)"
)


def _say(operation: str, kind: str, parameters: Mapping[str, JsonValue], why: str) -> ProposedOperation:
    return ProposedOperation(operation, kind, dict(parameters), why)


def read_helm(arguments: Sequence[str]) -> ProposedOperation | None:
    """What the words after `helm` do."""
    line = read_line(arguments, valued=_HELM_VALUED, plain=_HELM_PLAIN)
    if line is None or not line.words or line.rest:
        return None
    verb, names = line.words[0], line.words[1:]
    space = line.option("-n", "--namespace")
    shown: dict[str, JsonValue] = {} if space is None else {"namespace": space}
    if verb in _HELM_READS:
        return _say("kubernetes.helm.status", "release", shown, f"helm {verb}")
    release = names[1] if verb == "get" and len(names) > 1 else names[0] if names else ""
    if not _RELEASE.fullmatch(release) or line.has("--force", "--recreate-pods", "-f", "--values"):
        return None
    return _release(verb, {**shown, "release": release}, names, line)


def _release(verb: str, shown: dict[str, JsonValue], names: Sequence[str], line: Line) -> ProposedOperation | None:
    if verb == "get":
        return _say("kubernetes.helm.values", "release", shown, "helm get")
    if verb in ("uninstall", "delete", "del", "un"):
        return _say("kubernetes.helm.uninstall", "release", shown, "helm uninstall") if len(names) == 1 else None
    if verb == "rollback":
        revision: dict[str, JsonValue] = {"revision": int(names[1])} if names[1:] and names[1].isdecimal() else {}
        return _say("kubernetes.helm.rollback", "release", {**shown, **revision}, "helm rollback")
    if verb not in ("install", "upgrade") or len(names) != 2:  # noqa: PLR2004 - the release and its chart
        return None
    version = line.option("--version")
    said: dict[str, JsonValue] = {"chart": names[1]} if version is None else {"chart": names[1], "version": version}
    return _say(f"kubernetes.helm.{verb}", "release", {**shown, **said}, f"helm {verb}")


def read_systemctl(arguments: Sequence[str]) -> ProposedOperation | None:
    """What the words after `systemctl` do."""
    line = read_line(arguments, valued=_SYSTEMCTL_VALUED, plain=_SYSTEMCTL_PLAIN)
    if line is None or line.rest:
        return None
    verb, units = (line.words[0], line.words[1:]) if line.words else ("list-units", ())
    if verb in _UNIT_READS:
        unit: dict[str, JsonValue] = {"unit": units[0]} if len(units) == 1 else {}
        return _say("host.service.read", "service", unit, f"systemctl {verb}")
    if verb in _MACHINE:
        return _say("host.machine.reboot", "machine", {}, f"systemctl {verb}")
    if verb not in _UNIT_CHANGES or len(units) != 1 or not _UNIT.fullmatch(units[0]) or line.has("-a", "--all"):
        return None
    return _say(f"host.service.{verb}", "service", {"unit": units[0]}, f"systemctl {verb}")


def read_psql(arguments: Sequence[str]) -> ProposedOperation | None:
    """What the words after `psql` do; without a command it is a console, which nobody can read."""
    line = read_line(arguments, valued=_PSQL_VALUED, plain=_PSQL_PLAIN)
    if line is None or len(line.words) > 2 or line.rest:  # noqa: PLR2004 - the database and the user
        return None
    if line.has("-l", "--list"):
        return _say("postgres.catalog.read", "database", {}, "psql --list")
    given = [text for text in (line.option("-c"), line.option("--command")) if text is not None]
    return read_sql(given[0]) if len(given) == 1 else None


def read_sql(text: str) -> ProposedOperation | None:
    """What one statement does, or None where it is none that is known."""
    plain = " ".join(text.split()).rstrip("; ")
    if ";" in plain or "--" in plain or "/*" in plain or set('"$\\') & set(plain):
        return None
    lower = plain.lower()
    for pattern, operation in _SQL:
        if found := re.fullmatch(pattern, lower):
            at = re.fullmatch(pattern, plain, re.IGNORECASE) or found
            said = {name: at[name] if name == "value" else found[name] for name in found.groupdict()}
            numbers = {name: int(value) if name == "pid" else value for name, value in said.items()}
            return _say(operation, operation.split(".")[1], numbers, f"sql: {lower.split(' ', 1)[0]}")
    if found := _CREATE_INDEX.fullmatch(lower):
        columns: list[JsonValue] = [item.strip() for item in found["columns"].split(",")]
        said_index: dict[str, JsonValue] = {"index": found["index"], "table": found["table"], "columns": columns}
        unique: dict[str, JsonValue] = {"unique": True} if found["unique"] else {}
        return _say("postgres.index.create", "index", {**said_index, **unique}, "sql: create index")
    return _selecting(plain, lower)


def _selecting(plain: str, lower: str) -> ProposedOperation | None:
    if lower.startswith("explain select ") and not _MORE_THAN_READING.search(lower):
        return _say("postgres.statement.explain", "statement", {"statement": plain.split(" ", 1)[1]}, "sql: explain")
    if not lower.startswith("select ") or _MORE_THAN_READING.search(lower):
        return None
    tables = re.findall(r"\b(?:from|join)\s+([a-z0-9_.]+)", lower)
    if tables and "," not in lower.split(" from ", 1)[-1] and all(_CATALOGS.fullmatch(table) for table in tables):
        return _say("postgres.catalog.read", "catalog", {}, "sql: select from the catalog")
    return _say("postgres.table.read", "table", {"statement": plain}, "sql: select")


PROGRAMS: dict[str, Callable[[Sequence[str]], ProposedOperation | None]] = {
    "helm": read_helm,
    "systemctl": read_systemctl,
    "psql": read_psql,
}
