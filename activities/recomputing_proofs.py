"""Who made a recorded statement, verified again from its bytes, the directory of then, and the keys kept with it.

- What was counted must verify again: a signature by the directory that the entry names, a token by the issuer's key
  that was kept. That the key was the issuer's then is what the record says (`issuer_key`), and is not shown here.
- Whether `claimed` was accepted is a setting of then, which is not evidence: it is taken as it was answered.
- A refusal for want of a key of the issuer, or of OpenSSH, cannot be made again without them, and harms nobody: it is
  taken as it stands.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from activities.cases import CaseFile
from activities.deciding import SaidBy
from policy.approval.proved import Asked, Statement, as_shown, unproven
from policy.audit import ReadEntry
from policy.decision import DecisionSubmission, Refusal, receive_decision
from policy.ledger import EntryKind
from policy.people.directory import Directory
from policy.proofs import Domain, OidcProof, Principal
from signing.proving import NEEDS_OTHERS, KeysWantedError, Trust, UnprovenError, prove


def said_again(
    content: Mapping[str, Any], submission: DecisionSubmission, directory: Directory, at: datetime
) -> SaidBy:
    """Whoever made the statement of an entry, or why its proof does not show it."""
    kept, code = content.get("principal"), content["receipt"]["code"]
    issuer, key = (kept.get("issuer"), kept.get("key")) if kept is not None else (None, None)
    trust = Trust.again(directory, issuer, key, accepts_claimed=code != Refusal.claimed_not_accepted)
    recorded = Refusal(code) if code in NEEDS_OTHERS else None
    try:
        return prove(content["submission"], submission.proof, Domain.decision, trust, at)
    except UnprovenError as error:
        if error.code is Refusal.unverifiable and recorded is not None:
            return recorded, content["receipt"]["message"]
        return error.why
    except KeysWantedError as error:
        if isinstance(submission.proof, OidcProof) and kept is None and recorded is not None:
            return recorded, content["receipt"]["message"]
        return Refusal.unknown_key, str(error)


def unproven_again(
    entries: Iterable[ReadEntry], case: CaseFile, directory: Directory, recorded: Mapping[str, str]
) -> dict[str, str]:
    """Why votes of a case were not proved by the directory of a dispatch, from the entries before it.

    `recorded` is what the entry of the dispatch says. That the permit role had not seen the key of a token is taken as
    it stands: the entries before have the key that the control role believed.
    """
    statements: dict[str, Statement] = {}
    asked: dict[int, Asked] = {}
    for entry in entries:
        content = entry.content
        if entry.kind is EntryKind.assessed:
            named = content["revision"]
            digests = (content["assessment_digest"], named["documents"]["policy"], content.get("presented_digest"))
            asked[named["revision"]] = Asked(case.received.action_digest, *digests)
        elif entry.kind is EntryKind.decision_counted and content["directory"] is not None:
            submission = receive_decision(content["submission"])
            said_by = said_again(content, submission, directory, entry.at)
            if isinstance(submission.proof, OidcProof) and submission.decision_id in recorded:
                said_by = (Refusal.unknown_key, recorded[submission.decision_id])
            statements[submission.decision_id] = Statement(submission, said_by, entry.at)
    assert case.revision is not None
    revision, proposal_id = case.revision.revision, case.proposal.proposal_id
    shown = as_shown(asked, revision, case.sealed.presented_digest if case.sealed is not None else None)
    return unproven(
        case.ballots,
        statements,
        shown,
        directory,
        proposal_id=proposal_id,
        revision=revision,
        chain=case.revision.evaluation.chain,
    )


def check_principal(content: Mapping[str, Any], said_by: SaidBy) -> list[str]:
    """Whether an entry keeps what its proof shows, and nothing else."""
    computed = said_by.model_dump(mode="json") if isinstance(said_by, Principal) and said_by.kind != "claimed" else None
    recorded = content.get("principal")
    return [] if recorded == computed else [f"its proof shows {computed!r:.200}, recorded is {recorded!r:.200}"]
