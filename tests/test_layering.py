"""The architecture, where import-linter does not look: single files, forbidden calls, sizes, names, what is loaded."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Imports run to what stands before in this list.
ORDER = ("policy", "signing", "workflows", "activities", "worker", "cli", "starter")
# Neither of two that stand side by side knows the other.
BESIDE = {"signing": "workflows", "workflows": "signing"}
PLACES = (*ORDER, "deploy", "examples", "bench", "judges", "tests")
# Who starts servers or prepares a database may import deploy; besides, deploy asks only how to connect.
STARTS_SERVERS = ("cli/dev.py", "cli/demo*.py", "cli/place.py", "cli/ready.py", "bench/*", "tests/*", "deploy/*")
DEPLOY_IMPORTS = {"deploy/migrations/runner.py": "activities.database"}

PURE = ("policy", "workflows")
IMPURE_MODULES = {"io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "time", "urllib"}
IMPURE_NAMES = {"environ", "getenv", "getrandom", "uuid1", "uuid4", "uuid7"}
IMPURE_CALLS = {
    *("open", "print", "input", "eval", "exec"),
    *(
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "datetime.datetime.now",
        "datetime.date.today",
    ),
}
FACTORIES = {"dict", "frozenset", "list", "set", "tuple"}

FUNCTION_LINES, FILE_LINES = 60, 400
VAGUE = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
DRIVERS = {"asyncpg", "sqlalchemy", "sqlmodel", "cryptography", "joserfc", "alembic", "opentelemetry", "rich"}


def _files(*places: str) -> Iterator[tuple[str, ast.Module]]:
    for place in places:
        found = (ROOT / place).rglob("*.py") if (ROOT / place).is_dir() else [ROOT / f"{place}.py"]
        for path in sorted(found):
            yield path.relative_to(ROOT).as_posix(), _parsed(path)


@cache
def _parsed(path: Path) -> ast.Module:
    """A file, read once for all of these tests."""
    return ast.parse(path.read_text(), str(path))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _may_import(file: str, name: str) -> bool:
    mine, other = file.split("/", maxsplit=1)[0].removesuffix(".py"), name.split(".", maxsplit=1)[0]
    if other == "deploy":
        return any(fnmatch(file, pattern) for pattern in STARTS_SERVERS)
    if mine == "deploy":
        return other not in PLACES or name.startswith(DEPLOY_IMPORTS.get(file, "-"))
    if other in ("tests", "bench", "examples"):
        return mine == other
    if BESIDE.get(mine) == other:
        return False
    return mine not in ORDER or other not in ORDER or ORDER.index(other) <= ORDER.index(mine)


def test_imports_run_one_way() -> None:
    """starter, cli, worker, activities, workflows, policy: each imports only what comes after it."""
    wrong = [
        f"{file}:{line} imports {name}"
        for file, tree in _files(*PLACES)
        for line, name in _imports(tree)
        if not _may_import(file, name)
    ]
    assert not wrong


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, name in _imports(tree):
        if name.split(".")[0] in IMPURE_MODULES or name.split(".")[-1] in IMPURE_NAMES:
            yield line, f"import of {name}"
    for node in ast.walk(tree):
        # workflow.uuid4() and workflow.now() are the deterministic ones.
        if isinstance(node, ast.Attribute) and node.attr in IMPURE_NAMES and ast.unparse(node.value) != "workflow":
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in IMPURE_CALLS:
            yield node.lineno, f"{called}()"
        if (
            isinstance(node, ast.keyword)
            and node.arg == "default_factory"
            and ast.unparse(node.value).split("[")[0] not in FACTORIES
        ):
            yield node.value.lineno, f"default_factory={ast.unparse(node.value)}"


def test_rules_and_workflows_read_no_world() -> None:
    """policy and workflows have no clock, chance, environment, file or log, nor models that fill themselves."""
    wrong = [f"{file}:{line} {what}" for file, tree in _files(*PURE) for line, what in _impurities(tree)]
    assert not wrong


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import datetime\nx = datetime.now()",
        "import uuid\nx = uuid.uuid4()",
        "from uuid import uuid4",
        "import os",
        "import time",
        "import random",
        "import logging",
        "x = open('f')",
        "x = Field(default_factory=new_id)",
        "x = Field(default_factory=lambda: workflow.now())",
    ],
)
def test_impurities_are_seen(code: str) -> None:
    """Each thing that is forbidden is found where it is written."""
    assert list(_impurities(ast.parse(code)))


@pytest.mark.parametrize(("below", "above"), [pair for pair in pairwise(ORDER) if pair != ("signing", "workflows")])
def test_a_wrong_import_is_seen(below: str, above: str) -> None:
    """An import against the order is found in each place."""
    assert not _may_import(f"{below}/x.py", above)
    assert _may_import(f"{above}/x.py", below)
    assert not _may_import(f"{below}/x.py", "deploy.dev")
    assert not _may_import("deploy/x.py", above)


def test_sizes() -> None:
    """No function is longer than 60 lines and no file than 400."""
    long = []
    for file, tree in _files(*PLACES):
        if (lines := len((ROOT / file).read_text().splitlines())) > FILE_LINES:
            long.append(f"{file} has {lines} lines, at most {FILE_LINES}")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{file}:{node.lineno} {node.name} has {lines} lines, at most {FUNCTION_LINES}")
    assert not long


def test_names() -> None:
    """No file has a name that says nothing, and no folder of tests has the name of a package."""
    vague = [file for file, _ in _files(*PLACES) if set(Path(file).stem.split("_")) & VAGUE]
    shadowing = [path.as_posix() for path in (ROOT / "tests").rglob("*") if path.is_dir() and path.name in PLACES[:-1]]
    assert (vague, shadowing) == ([], [])


@pytest.mark.parametrize(
    "module", ["policy.screen", "workflows.ports", "workflows.authorize", "workflows.housekeeping"]
)
def test_workflows_load_no_driver(module: str) -> None:
    """Importing what runs in the sandbox loads this checkout and neither a database driver nor telemetry."""
    code = f"import sys, {module}; print(sys.modules[{module!r}].__file__, *sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    file, *loaded = shown.split()
    assert Path(file).is_relative_to(ROOT)
    assert not DRIVERS & set(loaded)
