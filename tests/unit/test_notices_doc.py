"""The page about notices says what the code has."""

import json
import re
from pathlib import Path

import pytest

from activities.channels.file import AppriseChannel, Channels, WebhookChannel, read_channels
from policy.base import EdgeModel
from policy.notices.notice import NoticeKind
from policy.notices.pacing import Pacing
from policy.rules.durations import written

PAGE = (Path(__file__).parents[2] / "docs/notices.md").read_text()


def table(head: str) -> list[list[str]]:
    """The cells of the table whose head begins like this."""
    rows = PAGE.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize(
    ("head", "model"),
    [("field", Channels), ("field of `apprise`", AppriseChannel), ("field of `webhook`", WebhookChannel)],
)
def test_every_field_is_described(head: str, model: type[EdgeModel]) -> None:
    """The tables have the fields of the models, in their order."""
    assert [row[0].strip("`") for row in table(head)] == list(model.model_fields)


def test_every_limit_is_described_with_its_default() -> None:
    """What the page calls a default is one."""
    found = Pacing()
    defaults = {
        name: value if isinstance(value, int) else f"`{written(value)}`"
        for name, value in ((name, getattr(found, name)) for name in Pacing.model_fields)
    }

    assert {row[0].strip("`"): row[1] for row in table("field of `pacing`")} == {
        name: str(value) for name, value in defaults.items()
    }


def test_every_kind_is_described() -> None:
    """Nobody is told something that the page does not know."""
    kinds = [kind for row in table("what") for kind in re.findall(r"`([a-z_]+)`", row[0])]

    assert sorted(kinds) == sorted(NoticeKind)


def test_the_example_is_a_channels_file() -> None:
    """What the page shows can be used as it stands."""
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    found = read_channels(json.dumps(json.loads(example)).encode())
    assert list(found.channels) == ["chat", "mail", "platform"]
