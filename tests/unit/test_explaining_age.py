"""`explain` and `simulate` say beforehand that a directory is too old to issue a permit by."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from activities.cases import CaseFile
from activities.dossier import Dossier
from cli.case import Case, explain_record
from cli.simulate import report
from policy.checks.simulation import PastAction, simulate
from policy.proposal import receive
from policy.revision import DocumentDigests, assess_revision
from starter import run
from tests.unit.builders import POLICY, T0, a_directory, a_policy, at, facts_of, proposal_json

_DIGEST = "sha256:" + "0" * 64
_AGED = a_policy(POLICY.replace(b"limits:", b"max_directory_age: 1d\nlimits:", 1))


def _case(directory_at: datetime | None) -> Case:
    received = receive(proposal_json())
    documents = DocumentDigests(policy=_DIGEST, operations=_DIGEST, catalog=_DIGEST, directory=_DIGEST)
    facts = facts_of(received.proposal, directory_at=directory_at)
    revision = assess_revision(received, facts, _AGED, documents, revision=1, assessed_at=T0, absolute_deadline=at(600))
    file = CaseFile(
        received=received,
        registered_at=T0,
        absolute_deadline=at(600),
        revision=revision,
        assessment_digest=_DIGEST,
        resolution=None,
        resolved_at=None,
        stop=None,
        result=None,
    )
    return Case("p-1", "default", Dossier(file=file, entries=(), broken="", receipts={}), None, "no answer")


@pytest.mark.parametrize(("directory_at", "said"), [(None, True), (T0, False)], ids=["unknown", "fresh"])
def test_explain_says_that_no_permit_would_be_issued(directory_at: datetime | None, said: bool) -> None:
    """Why an action would not run is among the reasons, before anybody has tried."""
    because = explain_record(_case(directory_at))["because"]
    assert any(line.startswith("directory_stale: when it was assessed, the directory is") for line in because) is said


def test_simulate_says_which_actions_would_get_no_permit() -> None:
    """The report has a section for them, with how old the directory was and may be."""
    received = receive(proposal_json())
    facts = facts_of(received.proposal, directory_at=T0 - timedelta(days=2))
    action = PastAction("p-1", T0, received.proposal, facts, a_policy(), a_directory())
    lines = report(simulate(_AGED, [action]), observed=True)
    assert "would get no permit:" in lines
    assert (
        "  p-1: the directory was true at 2029-12-30T09:00:00Z, the policy takes 1d at most: publish one of today"
        in lines
    )


def test_a_given_directory_is_as_old_as_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proposals are judged by the age of the directory that is given."""
    examples = Path(__file__).parents[2] / "examples"
    policy, directory = tmp_path / "policy.yaml", tmp_path / "directory.yaml"
    policy.write_text(
        (examples / "policy.yaml").read_text().replace("permit_ttl:", "max_directory_age: 1d\npermit_ttl:", 1)
    )
    text = (examples / "directory.yaml").read_text()
    directory.write_text(text.replace("\npeople:", "\nas_of: 2029-01-01T00:00:00Z\npeople:", 1))
    others = [f"--{kind}={examples / kind}.yaml" for kind in ("operations", "catalog")]
    action = str(examples / "proposals/1-routine.json")
    given = [f"--policy={policy}", f"--baseline={policy}", f"--directory={directory}", *others]
    code = run(["simulate", *given, "--at=2030-01-15T10:00:00+00:00", "--actions", action])
    assert code == 0
    assert (
        "would get no permit:\n  routine-1: the directory was true at 2029-01-01T00:00:00Z" in capsys.readouterr().out
    )
