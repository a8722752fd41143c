"""What all governed documents share: one YAML document of a declared kind, with a name and a version.

A document is identified by the digest of its bytes; name and version are for people.
"""

import json
from typing import TypeVar

from pydantic import ValidationError

from policy.base import EdgeModel, Name, Text
from policy.errors import DocumentError, explain
from policy.yaml_text import read_yaml

Model = TypeVar("Model", bound=EdgeModel)


class Metadata(EdgeModel):
    """What every governed document says of itself."""

    name: Name
    version: Name
    owners: tuple[Name, ...] = ()
    description: Text = ""


def read_document(body: bytes, model: type[Model]) -> Model:
    """Read the one YAML document of a governed text as a model.

    Raises:
        DocumentError: not one document, or not of that shape.
    """
    values = read_yaml(body)
    if len(values) != 1:
        raise DocumentError(f"{model.__name__} needs exactly one yaml document, got {len(values)}")
    try:
        # As JSON, because only there pydantic is strict about numbers and still reads lists as tuples.
        return model.model_validate_json(json.dumps(values[0]), strict=True)
    except ValidationError as error:
        raise DocumentError(f"malformed {model.__name__}: {explain(error)}") from None
