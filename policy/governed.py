"""What all governed documents share: one YAML document of a declared kind, with a name and a version.

A document is identified by the digest of its bytes; name and version are for people.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from policy.base import EdgeModel, Name, Text
from policy.errors import DocumentError, explain
from policy.yaml_text import read_yaml

MAX_DOCUMENTS = 50
Model = TypeVar("Model", bound=EdgeModel)


class Metadata(EdgeModel):
    """What every governed document says of itself."""

    name: Name
    version: Name
    owners: tuple[Name, ...] = ()
    description: Text = ""


def read_document(body: bytes, model: type[Model], read: Callable[[bytes], Iterable[Any]] = read_yaml) -> Model:
    """Read the one document of a governed text as a model.

    Args:
        body: the text.
        model: what it is.
        read: how values are read from a text.

    Raises:
        DocumentError: not one document, or not of that shape.
    """
    values = list(read(body))
    if len(values) != 1:
        raise DocumentError(f"{model.__name__} needs exactly one yaml document, got {len(values)}")
    return _read(values[0], model)


def read_documents(body: bytes, model: type[Model]) -> tuple[Model, ...]:
    """Read the YAML documents of a governed text, one or more, as models; empty ones are left out.

    Raises:
        DocumentError: none, too many, or one that is not of that shape.
    """
    values = [value for value in read_yaml(body) if value is not None]
    if not 1 <= len(values) <= MAX_DOCUMENTS:
        raise DocumentError(f"{model.__name__} needs 1 to {MAX_DOCUMENTS} yaml documents, got {len(values)}")
    return tuple(_read(value, model) for value in values)


def _read(value: Any, model: type[Model]) -> Model:
    try:
        # As JSON, because only there pydantic is strict about numbers and still reads lists as tuples.
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise DocumentError(f"malformed {model.__name__}: {explain(error)}") from None
