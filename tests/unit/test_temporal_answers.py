"""What a platform's worker may answer, and what follows from how its run ended."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    TargetChangedError,
    TargetUnreachableError,
)
from activities.executors.temporal_answers import (
    MAX_ANSWER_BYTES,
    REFUSED_PERMITS,
    Closed,
    Ended,
    rehearsed,
    targets,
    value,
    verdict,
)
from tests.unit.permitted import EXECUTOR_FOLDER

PERMITTED = {"billing/till": (("billing/till", None),), "order-7": (("billing/till", "order-7"),)}
TARGET = {"id": "order-7", "resource": "billing/till"}


def completed(answer: Any) -> Ended:
    """A run that answered this."""
    return Ended("completed", began=True, body=json.dumps(answer).encode())


def failed(kind: str, message: str = "because") -> Ended:
    """A run that raised a failure of this type."""
    return Ended("failed", began=True, failure=(kind, message))


def test_done_is_done() -> None:
    assert verdict(completed({"status": "done", "touched": ["order-7"]}), PERMITTED) is None


SAID = {
    "refused": (completed({"status": "refused", "message": "no"}), PreconditionFailedError, "no"),
    "refused without a reason": (completed({"status": "refused"}), PreconditionFailedError, "refused it"),
    "refused and touched": (completed({"status": "refused", "touched": ["order-7"]}), EffectUnknownError, "touched"),
    "went wrong": (completed({"status": "failed", "message": "half"}), ExecutorError, "half"),
    "cannot tell": (completed({"status": "unknown", "message": "lost"}), EffectUnknownError, "lost"),
    "touched another": (completed({"status": "done", "touched": ["order-8"]}), ExecutorError, "order-8"),
    "another status": (completed({"status": "ok"}), EffectUnknownError, "status"),
    "a field more": (completed({"status": "done", "approved": True}), EffectUnknownError, "approved"),
    "a text": (completed("done"), EffectUnknownError, "<root>"),
    "a truth": (completed(True), EffectUnknownError, "<root>"),
    "null": (completed(None), EffectUnknownError, "<root>"),
    "nothing": (Ended("completed", began=True), EffectUnknownError, "without an answer"),
    "no json": (Ended("completed", began=True, body=b"done"), EffectUnknownError, "cannot be read"),
    "a key twice": (
        Ended("completed", began=True, body=b'{"status":"refused","status":"done"}'),
        EffectUnknownError,
        "twice",
    ),
    "a giant": (completed({"status": "done", "message": "x" * MAX_ANSWER_BYTES}), EffectUnknownError, "at most"),
    "raised Refused": (failed("Refused"), PreconditionFailedError, "because"),
    "raised TargetChanged": (failed("TargetChanged"), TargetChangedError, "because"),
    "raised Unknown": (failed("Unknown"), EffectUnknownError, "because"),
    "raised Failed": (failed("Failed", ""), ExecutorError, "raised Failed"),
    "raised something else": (failed("ValueError"), EffectUnknownError, "ValueError because"),
    "raised what has no type": (failed(""), EffectUnknownError, "because"),
    "the permit was used": (failed("reused"), EffectUnknownError, "reused"),
    "the permit is none": (failed("bad_signature"), PreconditionFailedError, "refused the permit"),
    "cancelled after it began": (Ended("cancelled", began=True), EffectUnknownError, "was cancelled"),
    "terminated after it began": (Ended("terminated", began=True), EffectUnknownError, "was terminated"),
    "too slow after it began": (Ended("timed out", began=True), EffectUnknownError, "timed out"),
    "terminated before it began": (Ended("terminated", began=False), TargetUnreachableError, "no worker"),
    "nobody took it in time": (Ended("timed out", began=False), TargetUnreachableError, "no worker"),
}


@pytest.mark.parametrize(("ended", "error", "said"), SAID.values(), ids=SAID)
def test_what_is_not_done_is_said_with_its_kind(ended: Ended, error: type[ExecutorError], said: str) -> None:
    found = verdict(ended, PERMITTED)

    assert type(found) is error
    assert said in str(found)


@given(st.sampled_from(["failed", "cancelled", "terminated", "timed out"]), st.text(), st.text())
def test_only_a_worker_that_says_so_did_nothing(status: Closed, kind: str, message: str) -> None:
    """Whatever happens after a worker began, it is unknown unless the failure has a type that says more."""
    found = verdict(Ended(status, began=True, failure=(kind, message)), PERMITTED)

    assert type(found) is EffectUnknownError or kind in {*REFUSED_PERMITS, "Refused", "TargetChanged", "Failed"}


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    assert isinstance(verdict(Ended("completed", began=True, body=body), PERMITTED), ExecutorError)


def test_a_text_of_a_worker_is_one_short_line() -> None:
    found = verdict(completed({"status": "failed", "message": "a\x1b[31m\n\u202eb" + "c" * 5000}), PERMITTED)

    assert str(found).startswith("a [31m bc")
    assert len(str(found)) == 400


def test_what_a_worker_would_do_is_shown() -> None:
    assert rehearsed(completed({"status": "done", "message": "would refund 12"})) == "would refund 12"
    assert rehearsed(completed({"status": "done"}))


@pytest.mark.parametrize("ended", [each[0] for each in SAID.values()], ids=SAID)
def test_a_rehearsal_that_is_not_done_was_not_passed(ended: Ended) -> None:
    """Nothing was changed by it, so there is one kind of error."""
    with pytest.raises(PreconditionFailedError):
        rehearsed(ended)


def test_a_value_may_be_any_json() -> None:
    assert [value(completed({"value": each})) for each in (7, None, "x", [1])] == [7, None, "x", [1]]


@pytest.mark.parametrize(
    "ended",
    [
        completed(7),
        completed({}),
        completed({"value": 1, "unit": "s"}),
        failed("Refused"),
        Ended("timed out", began=False),
    ],
    ids=["bare", "no value", "a field more", "raised", "nobody there"],
)
def test_what_is_no_value_is_an_error(ended: Ended) -> None:
    with pytest.raises(ExecutorError):
        value(ended)


def test_targets_are_those_that_were_asked_about() -> None:
    [found] = targets(completed({"targets": [{**TARGET, "version": "3", "units": 2, "state": {"a": 1}}]}), PERMITTED)

    assert (found.id, found.resource, found.version, found.units, found.state) == (
        *("order-7", "billing/till", "3"),
        *(2, {"a": 1}),
    )
    assert targets(completed({"targets": []}), PERMITTED) == ()


STRANGE = {
    "another resource": [{**TARGET, "resource": "payroll"}],
    "one twice": [TARGET, TARGET],
    "no id": [{**TARGET, "id": ""}],
    "a field more": [{**TARGET, "selector": "*"}],
    "less than nothing": [{**TARGET, "units": -1}],
    "too many": [{**TARGET, "id": f"{number}"} for number in range(1001)],
}


@pytest.mark.parametrize("found", STRANGE.values(), ids=STRANGE)
def test_targets_that_are_none_are_refused(found: list[Any]) -> None:
    with pytest.raises(EffectUnknownError):
        targets(completed({"targets": found}), PERMITTED)


def test_every_code_of_the_example_verifiers_is_known() -> None:
    """With all of them but `reused` nothing was done; in Python and in TypeScript."""
    folder = EXECUTOR_FOLDER.parent
    files = [*EXECUTOR_FOLDER.glob("*.py"), *Path(folder, "executor-typescript").glob("src/*.ts")]
    used = {code for file in files for code in re.findall(r"PermitError\(\s*[\"'](\w+)[\"']", file.read_text())}

    assert len(files) >= 2
    assert used - {"reused"} == REFUSED_PERMITS


@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_what_it_touched_before_it_went_wrong_is_kept(status: str) -> None:
    """An undo is given no more; an answer that names nothing may have touched everything."""
    found = [verdict(completed({"status": status, "touched": names}), PERMITTED) for names in (["order-7"], [])]

    assert [error and error.touched for error in found] == [(("billing/till", "order-7"),), ()]
