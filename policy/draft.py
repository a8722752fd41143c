"""A draft of a governed document: who wrote it, and why it could not be published.

1. Its authors are whoever stored it and whom it names (`metadata.authors`). They stand behind the proposal to publish.
   Whoever stored it must be somebody in the directory, and whom a policy keeps from approving it names by their id: a
   name that nobody has, or an alias, or other letters, would keep nobody from it.
2. After a policy or a directory is published, somebody must be able to publish the next one: for every kind of document
   a proposal to publish is judged under the draft, as if the root had written it. It must ask at least as many people
   as governance pins, and the directory must have them, without whoever wrote that policy and whoever proposes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from policy.builtin import AGENT, ENVIRONMENT, PUBLISH, TARGET
from policy.catalog import Catalog, builtin_catalog
from policy.checks.satisfiability import satisfiability
from policy.document import PolicySet
from policy.evaluation import Evaluation
from policy.facts import collect
from policy.judging import judge
from policy.observed import DraftFact, Observed
from policy.operations import OperationsRegistry, builtin_operations
from policy.people.directory import Directory
from policy.proposal import ActionProposal
from policy.revision import DocumentDigests
from policy.rules.chains import Verdict
from policy.signature import Signature


class Draft(NamedTuple):
    """A document as written. `kind` is policy, operations, catalog or directory; name and version are for people."""

    kind: str
    name: str
    version: str
    body: bytes


def authors_of(document: PolicySet | OperationsRegistry | Catalog | Directory) -> tuple[str, ...]:
    """Whom a document names as its authors."""
    if not isinstance(document, PolicySet):
        return ()
    return tuple(dict.fromkeys(name for part in document.documents for name in part.metadata.authors))


def stranger(drafted_by: str, directory: Directory, at: datetime) -> tuple[str, ...]:
    """Why whoever stored a draft is nobody in a directory at an instant (UTC); nothing where they are somebody."""
    if directory.facts(drafted_by, at) is not None:
        return ()
    return (f"it was stored by {drafted_by[:100] or 'nobody'}, who is not in the directory",)


def problems_of(
    document: PolicySet | OperationsRegistry | Catalog | Directory,
    *,
    policy: PolicySet,
    directory: Directory,
    at: datetime,
) -> tuple[str, ...]:
    """Why a draft cannot be published, as sentences; pure.

    Args:
        document: the draft, as read.
        policy: the one in force.
        directory: the one in force.
        at: the instant (UTC) at which the next publication is imagined.
    """
    if isinstance(document, PolicySet):
        policy = document
    elif isinstance(document, Directory):
        directory = document
    else:
        return ()
    locked = (problem for kind in DocumentDigests.model_fields for problem in _locked(kind, policy, directory, at))
    return (*_misnamed(policy, directory), *locked)


def _misnamed(policy: PolicySet, directory: Directory) -> Iterator[str]:
    """Whom a policy keeps from approving by another name than their id. Who is nobody by any name has left."""
    named = [(name, part.metadata.name) for part in policy.documents for name in part.metadata.authors]
    named += [(name, item.id) for part in policy.documents for item in part.exceptions for name in item.approved_by]
    ids = {name.lower(): person.id for person in directory.people for name in (person.id, *person.aliases)}
    for name, where in dict.fromkeys(named):
        if (found := ids.get(name.lower(), name)) != name:
            yield f"{where} names {name}, who would not be kept from approving by that name: write {found}"


def _locked(kind: str, policy: PolicySet, directory: Directory, at: datetime) -> tuple[str, ...]:
    """Why nobody could publish the next document of a kind."""
    evaluation = next_publication(kind, policy, directory, at)
    if evaluation.verdict is Verdict.deny or evaluation.chain is None:
        why = evaluation.reasons[0].message if evaluation.reasons else "nobody is asked"
        return (f"nobody could publish the next {kind}: {why}",)
    silent = {name for item in evaluation.excluded for name in item.people}
    found = satisfiability(evaluation.chain, directory, at, silent)
    if found.missing:
        return (f"nobody could publish the next {kind}: nobody is left for {', '.join(found.missing)}",)
    if {person.id for person in directory.people} <= set(found.without):
        return (f"nobody could propose the next {kind}: whoever does leaves a seat empty",)
    return ()


def next_publication(kind: str, policy: PolicySet, directory: Directory, at: datetime) -> Evaluation:
    """What a policy answers to a proposal to publish the next document of a kind: whom it would ask.

    Args:
        kind: of document.
        policy: in force, or that would be.
        directory: in force, or that would be.
        at: the instant (UTC) at which it is imagined.
    """
    asker = directory.people[0].id if directory.people else "nobody"
    proposal = _imagined(kind, asker)
    digest = "sha256:" + "0" * 64
    draft = DraftFact(kind=kind, digest=digest, previous=digest)
    facts = collect(
        proposal,
        catalog=builtin_catalog(),
        directory=directory,
        registry=builtin_operations(),
        observed=Observed(at=at, catalog_at=at, directory_at=at, draft=draft, signature=_signature(directory, at)),
    )
    return judge(policy, proposal, facts).evaluation


def _signature(directory: Directory, at: datetime) -> Signature | None:
    """That nobody could sign what they propose; None where somebody could."""
    keys = (key for person in directory.people for key in person.keys)
    could = bool(directory.issuers) or any(key.revoked_at is None and key.signs(at) for key in keys)
    return None if could and directory.audience is not None else Signature(kind="unsigned")


def _imagined(kind: str, person: str) -> ActionProposal:
    digest = "sha256:" + "0" * 64
    parameters = {"kind": kind, "digest": digest, "previous": digest}
    value = publication(f"imagined-{kind}", parameters, person, "to see whether anybody could")
    return ActionProposal.model_validate(value)


def publication(proposal_id: str, parameters: dict[str, str], person: str, rationale: str) -> dict[str, object]:
    """The proposal to publish a draft, as it is sent.

    Args:
        proposal_id: an id of its own.
        parameters: `kind`, `digest` of the draft, and `previous`, the digest in force.
        person: who proposes.
        rationale: why, in the proposer's words.
    """
    back = {**parameters, "digest": parameters["previous"], "previous": parameters["digest"]}
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": PUBLISH,
        "target": TARGET,
        "environment": ENVIRONMENT,
        "agent": {"id": AGENT},
        "on_behalf_of": person,
        "rationale": rationale,
        "steps": [
            {
                "name": "publish",
                "operation": PUBLISH,
                "parameters": parameters,
                "undo": {"operation": PUBLISH, "parameters": back},
            }
        ],
        "success_criteria": [
            {
                "probe": "countersign.document.in_force",
                "parameters": {"kind": parameters["kind"]},
                "equals": parameters["digest"],
            }
        ],
    }
