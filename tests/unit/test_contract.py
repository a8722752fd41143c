"""The contract's documentation against the models: schemas, field tables, code tables and examples."""

import ast
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel

from cli.schema import FOLDER, schema_text, schemas
from policy import search_attributes
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, Vote, receive_decision
from policy.envelope import ProposalEnvelope, receive_start
from policy.lifecycle import State
from policy.operations import RegisteredOperation
from policy.outcome import Outcome
from policy.proposal import ActionProposal, receive
from policy.result import ActionResult, NextAction, ResultResolution
from policy.rules.chains import Verdict
from workflows import interface

TEXT = (Path(__file__).parents[2] / "docs" / "spec" / "contract.md").read_text()
# Where reasons of a result are written.
_RULES = (
    "composition.py",
    "criteria.py",
    "evaluation.py",
    "gate.py",
    "governance.py",
    "impossible.py",
    "operations.py",
    "outcome.py",
    "parameters.py",
    "standing.py",
    "unsigned.py",
)
_REQUIREMENTS = get_args(get_args(RegisteredOperation.model_fields["required"].annotation)[0])
MODELS: list[type[BaseModel]] = [ActionProposal, ProposalEnvelope, ActionResult, DecisionSubmission, DecisionReceipt]


def _section(title: str) -> str:
    """The text from a heading to the next one of any level."""
    found = re.search(rf"^#+ [^\n]*{re.escape(title)}[^\n]*\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def _table(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first head cell is `head`, without back-ticks."""
    lines = text.rsplit(f"| {head} |", 1)[1].split("\n")[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def _names(text: str, head: str) -> list[str]:
    return [name for row in _table(text, head) for name in re.findall(r"`([^`]+)`", row[0])]


def _examples(name: str) -> list[Any]:
    return [json.loads(block) for block in re.findall(rf"```json {name}\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("name", [model.__name__ for model in MODELS])
def test_the_checked_in_schemas_are_those_of_the_models(name: str) -> None:
    """`countersign schema` has nothing to change."""
    assert (FOLDER / f"{name}.json").read_text() == schema_text(schemas()[name])


def test_there_is_a_schema_for_each_model_and_no_other() -> None:
    """Nothing is described that does not exist any more."""
    assert {path.stem for path in FOLDER.iterdir()} == {model.__name__ for model in MODELS}


@pytest.mark.parametrize("name", [model.__name__ for model in MODELS])
def test_the_examples_fit_their_schemas(name: str) -> None:
    """Each type has an example, which validators in any language accept, and not with a field too few."""
    schema = schemas()[name]
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    examples = _examples(name)

    assert examples
    for example in examples:
        validator.validate(example)
        for required in schema["required"]:
            with pytest.raises(jsonschema.ValidationError, match=f"'{required}' is a required property"):
                validator.validate({key: value for key, value in example.items() if key != required})


def test_the_examples_are_read_by_the_models() -> None:
    """What the documentation shows is what the workflow takes and gives."""
    for example in _examples("ActionProposal"):
        assert receive(example).proposal.proposal_id == example["proposal_id"]
    for example in _examples("ProposalEnvelope"):
        assert receive_start(example).statement is not None
    for example in _examples("DecisionSubmission"):
        assert receive_decision(example).decision_id == example["decision_id"]
    for example in _examples("ActionResult"):
        assert ActionResult.model_validate(example).model_dump(mode="json") == example
    for example in _examples("DecisionReceipt"):
        assert DecisionReceipt.model_validate(example).model_dump(mode="json") == example


@pytest.mark.parametrize("name", ["ActionProposal", "ProposalEnvelope", "DecisionSubmission"])
def test_the_schemas_refuse_unknown_fields(name: str) -> None:
    """What comes from outside is closed in the schema as it is in the model."""
    validator = jsonschema.Draft202012Validator(schemas()[name])

    with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
        validator.validate({**_examples(name)[0], "surprise": 1})


@pytest.mark.parametrize("model", MODELS)
def test_the_field_tables_are_complete(model: type[BaseModel]) -> None:
    """Every field of a model is described, in order, and no other."""
    assert _names(_section(f"`{model.__name__}`"), "field") == list(model.model_fields)


@pytest.mark.parametrize(
    ("section", "head", "values"),
    [
        ("Refusal codes", "refusal", list(Refusal)),
        ("`DecisionSubmission`", "`vote`", list(Vote)),
        ("`ActionResult`", "`outcome`", list(Outcome)),
        ("`ActionResult`", "`resolution`", list(get_args(ResultResolution))),
        ("`ActionResult`", "`next_action`", list(get_args(NextAction))),
        ("Search attributes", "name", list(search_attributes.TYPES)),
    ],
)
def test_the_code_tables_are_complete(section: str, head: str, values: list[StrEnum | str]) -> None:
    """Every code that a client can meet is described, and no other."""
    assert sorted(_names(_section(section), head)) == sorted(values)


def test_the_types_of_the_search_attributes_are_right() -> None:
    """The table says the types that `countersign setup` registers."""
    rows = _table(_section("Search attributes"), "name")

    assert {row[0].strip("`"): row[1] for row in rows} == search_attributes.TYPES


def test_the_states_are_named() -> None:
    """A client of `status` can meet no state that is not described."""
    row = next(row for row in _table(_section("Queries"), "field") if row[0] == "`state`")

    assert re.findall(r"`(\w+)`", row[1]) == list(State)


def test_the_names_are_those_of_the_interface() -> None:
    """Workflow type, queue, id and messages are called what the code calls them."""
    names = dict(_table(_section("In short"), "what"))

    assert names["workflow type"] == f"`{interface.WORKFLOW_TYPE}`"
    assert names["task queue"] == f"`{interface.TASK_QUEUE}`"
    assert names["workflow id"] == f"`{interface.workflow_id('<proposal_id>')}`"
    assert names["queries"] == f"`{interface.STATUS}`, `{interface.EXPLAIN}`"
    assert f"`{interface.DECIDE}`" in names["update and signal"]


def test_every_reason_code_that_the_rules_write_is_described() -> None:
    """The codes in the sources of a result's reasons are in the table."""
    described = set(_names(_section("Reason codes"), "`code`"))
    written = {f"rule_{verdict}" for verdict in Verdict} | {f"missing_{what}" for what in _REQUIREMENTS}
    for name in _RULES:
        (path,) = (Path(__file__).parents[2] / "policy").rglob(name)
        written |= _codes(path)

    assert written <= described


def _codes(path: Path) -> set[str]:
    """The literal codes that are given to `Reason(code=...)`, `_reason(...)`, `say(...)`, … in a source file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = [item.value for item in node.keywords if item.arg == "code"]
        if node.func.id in ("_reason", "say", "deny") and node.args:
            given.append(node.args[0])
        if node.func.id == "answer" and len(node.args) > 1:
            given.append(node.args[1])
        found |= {item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return found


def test_the_python_example_is_python() -> None:
    """The example compiles."""
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

    compile(example, "contract.md", "exec")
