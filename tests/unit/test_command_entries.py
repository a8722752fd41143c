"""What an operator may write of a program, and that no value changes the program or the number of its arguments."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.executors.base import PreconditionFailedError, TargetCredentials
from activities.executors.command_program import arguments
from activities.executors.command_settings import CommandOperation
from activities.executors.kinds import ExecutorSettingsError, make_executors
from activities.executors.values import Values, chosen, values_of

TEXT = {"type": "string"}
TRUE = "/bin/true"


def _whole(operation: Any = None, **more: Any) -> dict[str, Any]:
    given = {"operations": {"host.service.restart": operation or {"argv": [TRUE]}}, "as_root": True}
    return {"kind": "command", **given, **more}


def _argv(*argv: str, **parameters: Any) -> dict[str, Any]:
    return _whole({"parameters": parameters, "argv": list(argv)})


def _probe(**more: Any) -> dict[str, Any]:
    return _whole(probes={"host.x.y": {"argv": [TRUE], **more}})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no program": (_argv(), "at least 1 item"),
    "a program of the path": (_argv("true"), "absolute path"),
    "a program that goes up": (_argv("/bin/../bin/true"), "absolute path"),
    "a program that a value names": (_argv("/bin/{unit}", unit=TEXT), "without a place for a value"),
    "a program that is not there": (_argv("/nowhere/true"), "does not exist"),
    "a line end": (_argv(TRUE, "a\nb"), "control characters"),
    "a single brace": (_argv(TRUE, "{unit", unit=TEXT), "no place for a value"),
    "a place for what is not declared": (_argv(TRUE, "{unit}"), "there is no unit here"),
    "a parameter that changes nothing": (_argv(TRUE, unit=TEXT), "parameter unit is used nowhere"),
    "a part of a list that changes nothing": (
        _argv(TRUE, "{items.1}", items={"type": "list", "minimum": 2, "maximum": 2}),
        "parameter items is used nowhere",
    ),
    "a list of any length": (_argv(TRUE, "{items.1}", items={"type": "list"}), "minimum and maximum alike"),
    "a whole list": (_argv(TRUE, "{items}", items={"type": "list"}), "no single value"),
    "what may be missing": (_argv(TRUE, "{unit}", unit={**TEXT, "required": False}), "may be missing"),
    "a secret for everybody to see": (_argv(TRUE, "{key}", key={**TEXT, "secret": True}), "may not stand here"),
    "what is resolved where nothing is": (_argv(TRUE, "{target.id}"), "there is no target.id here"),
    "a status that means two things": (
        _whole({"argv": [TRUE], "exits": {"refused": [0]}}),
        "no status means two things",
    ),
    "nothing that means done": (_whole({"argv": [TRUE], "exits": {"done": []}}), "done has an exit status"),
    "a status beyond all": (_whole({"argv": [TRUE], "exits": {"done": [256]}}), "less than or equal to 255"),
    "our variable": (_whole({"argv": [TRUE], "environment": {"COUNTERSIGN_PERMIT_ID": "x"}}), "what the permit says"),
    "a variable of a value for all": (_whole(environment={"X": "{unit}"}), "belongs to an operation"),
    "a folder by a relative path": (_whole(directory="tmp"), "absolute path"),
    "a probe that reads nothing": (_probe(), "reads either"),
    "a probe that reads twice": (_probe(text="string", value="/a"), "reads either"),
    "no time": (_whole(stop_seconds=0), "greater than 0"),
}


@pytest.mark.parametrize(("entry", "said"), REFUSED.values(), ids=REFUSED)
def test_an_entry_that_says_too_much_or_too_little_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ExecutorSettingsError) as error:
        make_executors({"hosts": entry}, TargetCredentials({}))

    assert said in str(error.value)


def test_commands_run_where_what_they_start_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(ExecutorSettingsError, match="linux only"):
        make_executors({"hosts": _whole()}, TargetCredentials({}))


VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["-rf", "--", "--help", "-", "", " ", "a b", "$(id)", "{other}", "{{", "\n", "\0", "/bin/sh", "\u202e", "a=b"]
    ),
    st.text(alphabet="ab-= /", min_size=1, max_size=5),
)


@given(first=VALUES, second=VALUES, third=st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_no_value_changes_the_program_or_the_number_of_its_arguments(first: str, second: str, third: Any) -> None:
    """Each stands in its place as it is, and only behind `--` does one begin with a dash; or nothing runs."""
    operation = CommandOperation.model_validate_json(
        json.dumps(
            {
                "parameters": {"a": TEXT, "b": TEXT, "c": {"type": "number"}},
                "argv": [TRUE, "{a}", "--b={b}", "{{a}}", "{b}:{c}", "{c}", "--", "{a}", "{b}{a}"],
            }
        )
    )
    try:
        values = values_of(operation.parameters, {"a": first, "b": second, "c": third}, {})
        argv = arguments(operation.argv, values)
    except PreconditionFailedError:
        return

    number = argv[5]
    assert argv == [TRUE, first, f"--b={second}", "{a}", f"{second}:{number}", number, "--", first, second + first]
    assert float(number) == float(third)
    assert not any(item.startswith("-") for item in (argv[1], argv[4], argv[5]))
    assert all(item and item.isprintable() for item in argv)


def test_a_dash_in_a_value_is_no_separator() -> None:
    """Only the entry's own `--` makes an option of nothing that follows."""
    values = Values({"a": "--", "b": "-rf"})

    with pytest.raises(PreconditionFailedError, match="would be taken for an option"):
        arguments([TRUE, "x{a}", "{b}"], values)
    with pytest.raises(PreconditionFailedError, match="would be taken for an option"):
        arguments([TRUE, "{a}", "{b}"], values)


def test_the_items_of_a_list_have_places_of_their_own() -> None:
    declared = {
        "parameters": {"items": {"type": "list", "minimum": 2, "maximum": 2}},
        "argv": [TRUE, "{items.2}", "{items.1}"],
    }
    operation = CommandOperation.model_validate_json(json.dumps(declared))

    assert arguments(operation.argv, values_of(operation.parameters, {"items": ["a", "b"]}, {})) == [TRUE, "b", "a"]
    wrongs: tuple[Any, ...] = (["a"], ["a", "b", "c"], ["a", 7], "ab")
    for wrong in wrongs:
        with pytest.raises(PreconditionFailedError):
            values_of(operation.parameters, {"items": wrong}, {})


def test_one_name_chooses_among_several_entries_and_among_no_others() -> None:
    executor = make_executors(
        {
            "hosts": _whole(
                {"choose": "template", "among": {"a": {"argv": [TRUE]}, "b": {"argv": [TRUE, "b"]}}},
            )
        },
        TargetCredentials({}),
    )["hosts"]
    table = executor._settings.operations  # type: ignore[attr-defined]

    entry, left = chosen(table, "host.service.restart", {"template": "b", "more": 1})
    assert (entry.argv, left) == ((TRUE, "b"), {"more": 1})
    others: tuple[Any, ...] = ("c", "", None, 7, ["a"])
    for which in others:
        with pytest.raises(PreconditionFailedError, match="is none of a, b"):
            chosen(table, "host.service.restart", {"template": which})
