"""One action as seen from outside: what the record says, and what its workflow answers, side by side.

- The record counts. The workflow is asked for what only it knows: that it is alive, and its state between two rows.
- Where both speak and name different digests, that is shown, and nobody is asked to decide on it.
- Temporal may be down and the workflow deleted; the record alone answers then. Without a record the workflow alone
  does, and the text says that nothing was checked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError, RPCStatusCode

from activities.connection import TemporalConfigError, TemporalUnavailableError
from activities.documents import Documents
from activities.dossier import Dossier, read_dossier
from activities.halt_proofs import Releases
from cli.asking import asked
from cli.place import NO_RECORD, Place
from policy.approval.ballot import Ballot
from policy.base import instant_text
from policy.decision import Vote
from policy.errors import CountersignError
from policy.halting import HaltFact, halts_on, said_of
from policy.people.age import stale_directory
from workflows import interface
from workflows.converter import Undecodable

QUERY_TIMEOUT = timedelta(seconds=5)
_NAMED = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")


class UnknownActionError(CountersignError):
    """Neither the record nor Temporal knows the action."""


@dataclass(frozen=True)
class Case:
    """What is known of an action. `problem` says why the workflow did not answer, and is empty where it did."""

    proposal_id: str
    namespace: str
    dossier: Dossier | None
    live: dict[str, Any] | None
    problem: str
    halts: tuple[HaltFact, ...] = ()

    @property
    def halted(self) -> dict[str, str]:
        """By whom it is halted, as the record has it now; nothing where it is not, or has ended."""
        if self.dossier is None or self.closed:
            return {}
        revision = self.dossier.file.revision
        said = said_of(halts_on(self.halts, revision.facts.target_environment if revision else None))
        return {"halted": said} if said else {}

    @property
    def closed(self) -> bool:
        """Whether the record has the result."""
        return self.dossier is not None and self.dossier.file.result is not None

    def status(self) -> dict[str, Any]:
        """The fields of the query `status`, with their `source`: the record for a closed action."""
        if self.live is not None and not self.closed:
            live = {name: value for name, value in self.live.items() if name != "halted" or self.dossier is None}
            return {**live, **self.halted, "source": "workflow", "problem": self.problem}
        assert self.dossier is not None
        recorded = self.dossier.status(datetime.now(UTC))
        return {**recorded, **self.halted, "source": "record", "problem": self.problem}

    def checked(self) -> dict[str, Any]:
        """The fields of the query `status` from the record wherever there is one; only `state` is the workflow's."""
        if self.dossier is None:
            return self.status()
        recorded = self.dossier.status(datetime.now(UTC))
        state = self.live["state"] if self.live is not None and not self.closed else recorded["state"]
        accepts = self.live.get("accepts_claimed") if self.live is not None else None
        own = {"state": state, "accepts_claimed": accepts, "source": "record", "problem": self.problem}
        return {**recorded, **self.halted, **own}

    def acting_for(self) -> dict[tuple[int, str], str]:
        """For whom a person's newest vote was given by a delegation, by stage and person; nobody without a record."""
        case = self.dossier.file.case if self.dossier is not None else None
        return delegators(case.ballots) if case is not None else {}

    def mismatches(self) -> tuple[str, ...]:
        """Where the workflow names another digest than the record."""
        if self.live is None or self.dossier is None or self.closed:
            return ()
        recorded = self.dossier.status(datetime.now(UTC))
        return tuple(
            f"{name}: the workflow says {self.live.get(name)}, the record says {recorded[name]}"
            for name in _NAMED
            if self.live.get(name) is not None and self.live.get(name) != recorded[name]
        )


def delegators(ballots: Iterable[Ballot]) -> dict[tuple[int, str], str]:
    """For whom each person's newest approval or denial was given, by stage and person; those by a delegation only."""
    votes = [ballot for ballot in ballots if ballot.vote in (Vote.approve, Vote.deny)]
    newest = {(ballot.stage, ballot.person_id): ballot.delegator for ballot in votes}
    return {key: delegator for key, delegator in newest.items() if delegator is not None}


async def look(place: Place, proposal_id: str) -> Case:
    """Read an action from the record and ask its workflow, unless the record has the result.

    Raises:
        UnknownActionError: neither knows it.
        DatabaseUnavailableError: there is a record and it does not answer.

    """
    no_halts: tuple[HaltFact, ...] = ()
    async with place.record() as database:
        dossier, halts = None, no_halts
        if database is not None:
            async with database.snapshot() as connection:
                dossier = await read_dossier(connection, proposal_id)
                given = dossier.file.halts if dossier is not None else ()
                halts = await Releases(Documents()).in_force(connection, given)
    live, problem, namespace = None, "", place.namespace or "default"
    if dossier is None or dossier.file.result is None:
        try:
            client = await place.client()
            namespace = client.namespace
            live, problem = await ask(client, proposal_id, interface.STATUS)
        except (TemporalConfigError, TemporalUnavailableError) as error:
            problem = str(error)
    if dossier is None and live is None:
        checked = "" if place.settings.database_url else f" ({NO_RECORD})"
        raise UnknownActionError(f"action {proposal_id}: {problem or 'not found'}; the record has none either{checked}")
    return Case(proposal_id, namespace, dossier, live, problem, halts)


async def ask(client: Client, proposal_id: str, query: str) -> tuple[dict[str, Any] | None, str]:
    """A query's answer, or None and why there is none."""
    handle = client.get_workflow_handle(interface.workflow_id(proposal_id))
    try:
        answer = await asked(handle, query, rpc_timeout=QUERY_TIMEOUT)
    except RPCError as error:
        return None, _no_answer(error)
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
        return None, f"its workflow answers no {query}: {error}"
    if isinstance(answer, Undecodable):
        return None, f"its workflow's answer to {query} cannot be read here: {answer.why}"
    if not isinstance(answer, dict):
        return None, f"its workflow answered {query} with something else than an object"
    return answer, ""


def _no_answer(error: RPCError) -> str:
    if error.status is RPCStatusCode.NOT_FOUND:
        return "temporal has no such workflow (never started, deleted, or past retention)"
    if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION):
        return f"its workflow gave no answer within {QUERY_TIMEOUT.total_seconds():g} s: does a worker run?"
    return f"temporal answered {error.status.name.lower()}: {error.message}"


async def why(place: Place, case: Case) -> dict[str, Any]:
    """The fields of the query `explain`, and `because`: the reasons on record."""
    if case.closed or case.live is None:
        return {**explain_record(case), **case.halted}
    answer, problem = await ask(await place.client(), case.proposal_id, interface.EXPLAIN)
    because = _policy_reasons(case)
    if answer is None:
        return {**explain_record(case), **case.halted, "problem": problem}
    return {**{name: value for name, value in answer.items() if name != "halted"}, **case.halted, "because": because}


def explain_record(case: Case) -> dict[str, Any]:
    """`explain` as far as the record tells it."""
    assert case.dossier is not None
    file, standing = case.dossier.file, case.dossier.standing(datetime.now(UTC))
    nothing: dict[str, Any] = {
        **{name: [] for name in ("waiting_for", "proofs", "unblock", "then", "questions")},
        "could_unblock": {},
    }
    if file.result is not None:
        because = [f"{reason.code}: {reason.message}" for reason in file.result.reasons]
        return {"summary": f"{file.result.resolution}, outcome {file.result.outcome}", **nothing, "because": because}
    if standing is None or standing.resolution != "pending" or file.resolution is not None or file.stop is not None:
        state = file.stop or file.resolution or "assessed"
        return {
            "summary": f"{state}, without a result yet: {case.problem}",
            **nothing,
            "because": _policy_reasons(case),
        }
    current = standing.current
    return {
        "summary": f"waiting for stage {current.number} ({current.name}) by the record: {case.problem}",
        "waiting_for": standing.waiting_for(),
        "proofs": standing.proofs(),
        "could_unblock": standing.could_unblock(),
        "unblock": [],
        "then": [{"at": instant_text(due.at), "what": due.text} for due in standing.due],
        "questions": standing.talk(),
        "because": _policy_reasons(case),
    }


def _policy_reasons(case: Case) -> list[str]:
    """Why the policy answered so, and whether the directory of then is too old by now to run it by."""
    if case.dossier is None or case.dossier.file.revision is None:
        return []
    revision, now = case.dossier.file.revision, datetime.now(UTC)
    age = revision.evaluation.directory_seconds
    stale = stale_directory(revision.facts.observed.directory_at, timedelta(seconds=age) if age else None, now)
    because = [f"{item.code}: {item.message}" for item in revision.evaluation.reasons]
    return [*because, f"{stale.code}: when it was assessed, {stale.message}"] if stale is not None else because
