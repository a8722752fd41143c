"""The one way in for a statement: strict JSON, read from its canonical bytes, and an error that names what is wrong.

It is read from the bytes that a signature is about, so that nothing can be read of it that nobody signed.
"""

from typing import Any, TypeVar

from pydantic import ValidationError

from policy.base import EdgeModel
from policy.canonical import canonical, check_value
from policy.errors import CanonicalError, CountersignError, explain

Received = TypeVar("Received", bound=EdgeModel)


def receive_as(model: type[Received], value: Any, what: str, refusal: type[CountersignError]) -> Received:
    """Read a JSON value that somebody sent.

    Args:
        model: what it must be.
        value: as it came.
        what: how an error calls it.
        refusal: the error that says why it is none.

    Raises:
        CountersignError: a `refusal`, with the field, the value and what was expected.
    """
    try:
        check_value(value)
        return model.model_validate_json(canonical(value), strict=True)
    except CanonicalError as error:
        raise refusal(f"malformed {what}: {error}") from None
    except ValidationError as error:
        raise refusal(f"malformed {what}: {explain(error)}") from None
