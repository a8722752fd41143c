"""What converter and codec tell each other of a payload: marks in its metadata, which nobody else can set.

- The converter says what a value is, its role: one of our own requests or answers, by name, or a message, which is
  everything else. The codec binds that to the ciphertext, and says it again of what it decrypted.
- Of what came in the clear the codec says since when payloads are encrypted. What a run of before then was told keeps
  counting, so that it replays; a run that began since believes no answer in the clear. Where nothing is encrypted,
  there are no marks. The codec takes those off that a client sent.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload

ROLE = "countersign-role"
CLEAR_SINCE = "countersign-clear-since"
MARKS = (ROLE, CLEAR_SINCE)
MESSAGE = "message"
# The encoding of what stands for a payload that could not be decrypted; its data say why.
UNREADABLE = b"countersign/unreadable"
# The encoding of what the codec wrote.
ENCRYPTED = b"binary/encrypted"


def role(payload: Payload) -> str | None:
    """What a payload was encrypted as; None where it was not."""
    mark = payload.metadata.get(ROLE)
    return None if mark is None else mark.decode("ascii", "replace")


def clear_since(payload: Payload) -> datetime | None:
    """Since when a payload like this one, which came in the clear, would have to be encrypted; None if never."""
    mark = payload.metadata.get(CLEAR_SINCE)
    try:
        return None if mark is None else datetime.fromisoformat(mark.decode("ascii", "replace"))
    except ValueError:
        return None


def in_the_clear(since: datetime | None) -> bool:
    """Whether what has this mark came in the clear into a run that began after encryption did."""
    return since is not None and workflow.info().start_time >= since


def any_in_the_clear(payloads: Sequence[Any]) -> bool:
    """Whether one of the payloads that arrived came in the clear, as above."""
    return any(in_the_clear(clear_since(item.payload)) for item in payloads if hasattr(item, "payload"))
