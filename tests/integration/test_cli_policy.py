"""The life of a policy from the command line: checked, compared, published in parts, and asked about later."""

from datetime import UTC, datetime
from pathlib import Path

from cli import exits
from tests.integration.terminal import DOCUMENTS, House

TEAM = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: team, version: "1", scope: team, covers: {targets: ["resource:default/orders-db"]}}
unsigned: [{}]
rules:
  - {id: owners-too, match: {operations: [postgres.parameter.set]}, verdict: require_approval, chain: owners}
chains:
  owners:
    stages: [{name: owners, requirements: [{groups: [owners]}], deadline: 1h}]
"""
ROOT = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: root, version: "1", scope: root}
unsigned: [{}]
rules:
  - {id: documents, match: {operations: [countersign.document.publish]}, verdict: require_approval, chain: governors}
chains:
  governors:
    stages:
      - {name: first, requirements: [{groups: [dba]}], deadline: 1h}
      - {name: second, requirements: [{groups: [owners]}], deadline: 1h}
"""


def test_a_team_publishes_its_part(idle: House, documents: Path, tmp_path: Path) -> None:
    """The part joins what is in force, the change is said in meaning, and the part can be left out again."""
    part = tmp_path / "team.yaml"
    part.write_text(TEAM)
    before = datetime.now(UTC).isoformat()

    added = idle.publish(part)
    assert added.code == exits.OK, added.err
    assert "postgres.parameter.set" in added.out
    assert "(stricter)\n1 change in meaning" in added.out
    shown = idle.run("policy", "show").out
    assert "name: cli" in shown
    assert shown.endswith(TEAM)

    again = idle.run("policy", "publish", "--ceremony", str(part))
    assert "no change in meaning" in again.out
    now = idle.run("policy", "effective", "--operation", "postgres.parameter.set")
    assert "rule        parameters (cli): require_approval by two" in now.out
    assert "rule        owners-too (team): require_approval by owners" in now.out
    then = idle.run("policy", "effective", "--at", before, "--json").json
    assert [item["document"] for item in then["effective"] if item["what"] == "rule"] == ["cli"]
    assert {item["kind"] for item in then["documents"]} == set(DOCUMENTS)

    whole = idle.publish(documents / "policy.yaml", "--whole")
    assert whole.code == exits.OK, whole.err
    assert "(milder)" in whole.out
    assert "name: team" not in idle.run("policy", "show").out


def test_what_has_errors_is_not_published(idle: House, tmp_path: Path) -> None:
    """A chain that nobody of the directory in force can satisfy is refused with its place, and nothing changes."""
    before = idle.run("policy", "show").out
    part = tmp_path / "policy.yaml"
    part.write_text(DOCUMENTS["policy"].replace("groups: [owners]", "groups: [nobody]"))

    refused = idle.run("policy", "publish", "--ceremony", str(part))
    assert refused.code == exits.FAILED
    assert "nothing was published" in refused.err
    assert f"{part}:11:3: error chain_unsatisfiable: chain two needs 2 different people" in refused.err
    assert idle.run("policy", "show").out == before


def test_before_the_first_publication_nothing_was_in_force(idle: House) -> None:
    """An instant before the record began is answered as such."""
    ran = idle.run("policy", "effective", "--at", "2001-01-01")
    assert ran.code == exits.FAILED
    assert "no policy was in force at 2001-01-01T00:00:00Z" in ran.err


def test_a_document_in_force_is_changed_by_an_action(house: House, documents: Path, tmp_path: Path) -> None:
    """Publishing over what is in force is refused; proposing it asks people who did not write it, and then it is."""
    part, root = tmp_path / "team.yaml", tmp_path / "root.yaml"
    part.write_text(TEAM)
    root.write_text(ROOT)
    refused = house.run("policy", "publish", str(part))
    assert (refused.code, "countersign policy propose" in refused.err) == (exits.FAILED, True)

    assert house.publish(root).code == exits.OK
    signed = ("--as", "ana", "--key", str(tmp_path / "ana.jwk"))
    proposed = house.run("policy", "propose", str(part), *signed, "--because", "the owners asked for it")
    assert proposed.code == exits.OK, proposed.err
    proposal_id = proposed.out.partition(":")[0]
    house.until(proposal_id, lambda status: status["state"] == "pending")
    drafted = house.run("policy", "draft", proposal_id)
    assert (drafted.code, "\n+  - {id: owners-too" in drafted.out) == (exits.OK, True)
    assert house.run("policy", "draft", proposal_id, "--whole").out.endswith(TEAM)
    own = house.decide("approve", proposal_id, "ana")
    assert "self_approval" in own.out + own.err
    assert house.decide("approve", proposal_id, "ben").code == exits.OK
    house.until(proposal_id, lambda status: status["stage"] == 2)
    assert house.decide("approve", proposal_id, "eva").code == exits.OK
    ended = house.until(proposal_id, lambda status: status["result"] is not None)
    assert ended["outcome"] == "succeeded"
    assert house.run("policy", "show").out.endswith(TEAM)
    assert f"action/{proposal_id}" in house.run("policy", "effective").out
    assert house.publish(documents / "policy.yaml", "--whole").code == exits.OK
