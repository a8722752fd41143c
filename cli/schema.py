"""`schema`: write the JSON Schemas of the contract from the models, for the documentation and other languages."""

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cli import exits
from cli.arguments import Commands
from policy.decision import DecisionReceipt, DecisionSubmission
from policy.envelope import ProposalEnvelope
from policy.proposal import ActionProposal
from policy.result import ActionResult

FOLDER = Path(__file__).parents[1] / "docs" / "spec" / "schemas"
# What is sent to us is described as we read it, what we answer as we write it.
_READ: tuple[type[BaseModel], ...] = (ActionProposal, ProposalEnvelope, DecisionSubmission)
_WRITTEN: tuple[type[BaseModel], ...] = (ActionResult, DecisionReceipt)


def register(commands: Commands) -> None:
    parser = commands.add_parser("schema", help="write the JSON Schemas of the contract (for developers)")
    parser.set_defaults(run=_schema)
    parser.add_argument("--into", metavar="DIR", type=Path, default=FOLDER, help="folder (default: docs/spec/schemas)")


async def _schema(args: argparse.Namespace) -> int:
    args.into.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        path = args.into / f"{name}.json"
        path.write_text(schema_text(schema))
        print(path)
    return exits.OK


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each type of the contract, by its name."""
    found: dict[str, dict[str, Any]] = {model.__name__: model.model_json_schema(mode="validation") for model in _READ}
    found |= {model.__name__: model.model_json_schema(mode="serialization") for model in _WRITTEN}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {name: {"$schema": dialect, **schema} for name, schema in found.items()}


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as it is checked in."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
