"""The life of a policy from the command line: checked, compared, published in parts, and asked about later."""

from datetime import UTC, datetime
from pathlib import Path

from cli import exits
from tests.integration.terminal import DOCUMENTS, House

TEAM = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: team, version: "1", scope: team, covers: {targets: ["resource:default/orders-db"]}}
rules:
  - {id: owners-too, match: {operations: [postgres.parameter.set]}, verdict: require_approval, chain: owners}
chains:
  owners:
    stages: [{name: owners, requirements: [{groups: [owners]}], deadline: 1h}]
"""


def test_a_team_publishes_its_part(idle: House, documents: Path, tmp_path: Path) -> None:
    """The part joins what is in force, the change is said in meaning, and the part can be left out again."""
    part = tmp_path / "team.yaml"
    part.write_text(TEAM)
    before = datetime.now(UTC).isoformat()

    added = idle.run("policy", "publish", str(part))
    assert added.code == exits.OK, added.err
    assert "postgres.parameter.set" in added.out
    assert "(stricter)\n1 changes in meaning" in added.out
    shown = idle.run("policy", "show").out
    assert "name: cli" in shown
    assert shown.endswith(TEAM)

    again = idle.run("policy", "publish", str(part))
    assert "no change in meaning" in again.out
    now = idle.run("policy", "effective", "--operation", "postgres.parameter.set")
    assert "rule        parameters (cli): require_approval by two" in now.out
    assert "rule        owners-too (team): require_approval by owners" in now.out
    then = idle.run("policy", "effective", "--at", before, "--json").json
    assert [item["document"] for item in then["effective"] if item["what"] == "rule"] == ["cli"]
    assert {item["kind"] for item in then["documents"]} == set(DOCUMENTS)

    whole = idle.run("policy", "publish", str(documents / "policy.yaml"), "--whole")
    assert whole.code == exits.OK, whole.err
    assert "(milder)" in whole.out
    assert "name: team" not in idle.run("policy", "show").out


def test_what_has_errors_is_not_published(idle: House, tmp_path: Path) -> None:
    """A chain that nobody of the directory in force can satisfy is refused with its place, and nothing changes."""
    before = idle.run("policy", "show").out
    part = tmp_path / "policy.yaml"
    part.write_text(DOCUMENTS["policy"].replace("groups: [owners]", "groups: [nobody]"))

    refused = idle.run("policy", "publish", str(part))
    assert refused.code == exits.FAILED
    assert "nothing was published" in refused.err
    assert f"{part}:10:3: error chain_unsatisfiable: chain two needs 2 different people" in refused.err
    assert idle.run("policy", "show").out == before


def test_before_the_first_publication_nothing_was_in_force(idle: House) -> None:
    """An instant before the record began is answered as such."""
    ran = idle.run("policy", "effective", "--at", "2001-01-01")
    assert ran.code == exits.FAILED
    assert "no policy was in force at 2001-01-01T00:00:00Z" in ran.err
