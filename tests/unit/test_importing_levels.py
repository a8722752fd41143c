"""Access levels of AWS, as entries of the operations registry."""

import itertools
import json
from typing import Any

import pytest

from policy.errors import DocumentError
from policy.importing.aws_levels import import_levels
from policy.importing.lexicon import Kind, worst
from policy.importing.verbs import judge
from policy.operations import RiskTier, read_operations

LEVELS = {
    "List": Kind.read,
    "Read": Kind.read,
    "Write": Kind.mutate,
    "Tagging": Kind.mutate,
    "Permissions management": Kind.destructive,
    "Anything else": Kind.destructive,
}
NAMES = ("GetThing", "PutThing", "DeleteThing", "TerminateThings", "ThingAround", "BatchGetItem")


def _kinds(value: Any) -> dict[str, Kind]:
    return {item.operation.name: item.kind for item in import_levels(json.dumps(value).encode()).entries}


@pytest.mark.parametrize(("level", "name"), list(itertools.product(LEVELS, NAMES)))
def test_a_level_only_raises(level: str, name: str) -> None:
    """The class is the worse one of the level and of the action's own verb."""
    (kind,) = _kinds([{"action": f"svc:{name}", "access_level": level}]).values()
    assert kind is worst(LEVELS[level], judge(name).kind)


def _action(name: str, **properties: bool) -> dict[str, Any]:
    names = ("IsList", "IsPermissionManagement", "IsTaggingOnly", "IsWrite")
    return {"Name": name, "Annotations": {"Properties": {one: properties.get(one, False) for one in names}}}


def test_the_service_reference() -> None:
    """The flags of the service reference are the levels; an action without them is taken for the worst."""
    actions = [
        _action("ListBuckets", IsList=True),
        _action("GetObject"),
        _action("PutObject", IsWrite=True),
        _action("TagResource", IsWrite=True, IsTaggingOnly=True),
        _action("PutBucketPolicy", IsPermissionManagement=True, IsWrite=True),
        {"Name": "GetUnsaid"},
    ]

    assert _kinds({"Name": "s3", "Actions": actions}) == {
        "aws.s3.list_buckets": Kind.read,
        "aws.s3.get_object": Kind.read,
        "aws.s3.put_object": Kind.mutate,
        "aws.s3.tag_resource": Kind.mutate,
        "aws.s3.put_bucket_policy": Kind.destructive,
        "aws.s3.get_unsaid": Kind.destructive,
    }


def test_who_may_do_what_is_critical() -> None:
    """Permissions management is of the highest floor; and what is imported can be published."""
    found = import_levels(b'[{"action": "iam:PutRolePolicy", "access_level": "Permissions management"}]')
    known = read_operations(found.text("aws").encode()).find("aws.iam.put_role_policy")

    assert known is not None
    assert (known.floor, known.effect_levels["security"]) == (RiskTier.critical, 100)


def test_what_is_no_action_is_skipped() -> None:
    """A row without an action is skipped and said."""
    rows = [{"action": "s3", "access_level": "Read"}, {"access_level": "Read"}, {"action": "s3:GetX"}]
    found = import_levels(json.dumps([*rows, {"action": "s3:GetX"}]).encode())
    assert (len(found.entries), len(found.skips)) == (1, 3)


@pytest.mark.parametrize("body", [b"", b"[]", b"[1]", b"1", b"{}", b'{"Name": "s3", "Actions": []}', b"\xff"])
def test_no_levels(body: bytes) -> None:
    """What holds no action is an error that says so."""
    with pytest.raises(DocumentError):
        import_levels(body)
