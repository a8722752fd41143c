"""`policy test`: the cases beside a policy, evaluated as real actions are. Ends with 1 where a case is not as expected.

Paths in a file of cases are relative to the file.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import exits
from cli.documents import read_file
from policy.canonical import parse_json
from policy.catalog import read_catalog
from policy.checks.policy_tests import Case, CaseResult, PolicyTests, read_policy_tests, run_case
from policy.document import read_policy
from policy.errors import CanonicalError, DocumentError
from policy.operations import read_operations
from policy.people.directory import read_directory
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from cli.arguments import Commands


def register(actions: "Commands") -> None:
    parser = actions.add_parser("test", help="evaluate the cases beside a policy, and say which are not as expected")
    parser.set_defaults(run=_run)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="a YAML document of kind PolicyTests")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="test this policy instead of the one that it names")


async def _run(args: argparse.Namespace) -> int:
    results = [result for path in args.files for result in run_file(path, args.policy)]
    for result in results:
        for line in lines_of(result):
            print(visible(line))
    failed = sum(1 for result in results if result.differences)
    print(f"{failed} of {len(results)} cases are not as expected" if failed else f"{len(results)} cases as expected")
    return exits.FAILED if failed else exits.OK


def run_file(path: Path, policy: Path | None = None) -> list[CaseResult]:
    """Evaluate every case of a file.

    Raises:
        DocumentError: names the file and what in it cannot be used.

    """
    try:
        tests = read_policy_tests(read_file(path))
        return _results(tests, path.parent, policy or path.parent / tests.documents.policy)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from None


def _results(tests: PolicyTests, folder: Path, policy: Path) -> list[CaseResult]:
    asked = read_policy(read_file(policy))
    operations = read_operations(read_file(folder / tests.documents.operations))
    catalog = read_catalog(read_file(folder / tests.documents.catalog))
    directory = read_directory(read_file(folder / tests.documents.directory))
    return [
        run_case(
            case,
            _proposal(case, folder),
            policy=asked,
            operations=operations,
            catalog=catalog,
            directory=directory,
            now=tests.now,
        )
        for case in tests.cases
    ]


def _proposal(case: Case, folder: Path) -> Any:
    if not isinstance(case.proposal, str):
        return case.proposal
    try:
        return parse_json(read_file(folder / case.proposal))
    except CanonicalError as error:
        raise DocumentError(f"case {case.name}: proposal {case.proposal}: {error}") from None


def lines_of(result: CaseResult) -> list[str]:
    """What is said of a case: one line, and where it is not as expected, what is and why."""
    if not result.differences:
        return [f"ok    {result.name}"]
    width = max(len(item.what) for item in result.differences)
    differences = [
        f"      {item.what:{width}}  expected {item.expected}, found {item.found}" for item in result.differences
    ]
    return [f"FAIL  {result.name}", *differences, *(f"      because {reason}" for reason in result.reasons)]
