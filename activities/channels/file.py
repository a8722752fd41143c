"""The channels file: by which channels people are told, with their secrets, and at which pace.

- It is an operator's, on the machine of the worker: the directory holds addresses, never a secret.
- The order of the channels is that of preference.
- An address goes into the path or the query of a channel's URL, encoded. It never chooses a host: hosts are those of
  the file, and nothing else is ever asked.
- A webhook is asked over TLS, but on this machine, and has a secret that signs what it is sent.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator

from activities.standard_webhooks import WebhookSecret
from policy.base import EdgeModel, Name
from policy.canonical import parse_json
from policy.errors import CountersignError
from policy.notices.notice import NoticeKind
from policy.notices.pacing import Pacing

ADDRESS = "{address}"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class ChannelsError(CountersignError):
    """The channels file cannot be used."""


def _template(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    rest = text.partition("://")[2]
    if "{" in rest.replace(ADDRESS, "") or "{" in rest.partition("/")[0].partition("?")[0]:
        raise ValueError(f"url may hold {ADDRESS} once its host has ended, and no other placeholder")
    return url


def _endpoint(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    plain = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
    if not (parts.scheme == "https" or plain) or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("url must be an https address without a user and a fragment")
    return url


class AppriseChannel(EdgeModel):
    """A service that apprise knows, by its URL."""

    kind: Literal["apprise"]
    url: Annotated[SecretStr, AfterValidator(_template)]
    format: Literal["text", "markdown"] = "text"
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 15


class WebhookChannel(EdgeModel):
    """A platform's endpoint, which is sent signed CloudEvents of these kinds, or of all."""

    kind: Literal["webhook"]
    url: Annotated[SecretStr, AfterValidator(_endpoint)]
    secret: WebhookSecret
    kinds: tuple[NoticeKind, ...] = ()
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 10


Channel = Annotated[AppriseChannel | WebhookChannel, Field(discriminator="kind")]


class Channels(EdgeModel):
    """The whole file; `docs/notices.md` describes each field."""

    channels: Annotated[dict[Name, Channel], Field(min_length=1, max_length=50)]
    groups: dict[Name, dict[Name, str]] = {}
    operators: Name | None = None
    source: Annotated[str, Field(min_length=1, max_length=200)] = "countersign"
    ui_url: str | None = None
    namespace: str = "default"
    pacing: Pacing = Pacing()

    @model_validator(mode="after")
    def _known(self) -> "Channels":
        for group, contacts in self.groups.items():
            for name in contacts:
                if name not in self.to_people:
                    raise ValueError(f"group {group} is told by {name}, which is no channel to people")
        return self

    @property
    def to_people(self) -> dict[str, AppriseChannel]:
        """The channels by which people are told, in order of preference."""
        return {name: item for name, item in self.channels.items() if isinstance(item, AppriseChannel)}

    @property
    def to_platforms(self) -> dict[str, WebhookChannel]:
        """The endpoints of platforms."""
        return {name: item for name, item in self.channels.items() if isinstance(item, WebhookChannel)}


def read_channels(body: bytes) -> Channels:
    """Read the channels file.

    Raises:
        CanonicalError: it is no strict JSON.
        ChannelsError: names the field and what is wrong; secrets are not shown.
    """
    value = parse_json(body)
    try:
        return Channels.model_validate(value)
    except ValidationError as error:
        raise ChannelsError(_without_values(error)) from None


def _without_values(error: ValidationError) -> str:
    """What is wrong, without the values: some of them are secrets."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or '<root>'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )[:500]
