"""What a run shows of itself: the answers to `status` and `explain`, and the details in the Temporal UI.

Nothing here is evidence and nothing decides by it. Measured facts come first; the proposer's words are last, labelled
and escaped. Rendering makes no history event, so it may change without a new version of the workflow.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from policy.approval.standing import StageStanding, Standing
from policy.base import instant_text
from policy.decision import DecisionReceipt, Vote, Wanted
from policy.lifecycle import State
from policy.proofs import Assurance
from policy.result import ActionResult
from policy.rules.stepping_up import sayings
from policy.screen import DRY_RUN, Screen
from policy.screens.neutral import code_text, markdown_text
from policy.screens.screen_markdown import screen_markdown
from policy.screens.status import status_fields
from workflows.interface import DECIDE, workflow_id
from workflows.messages import Plan

DECIDE_HELP = (
    "one JSON object, DecisionSubmission (docs/spec/contract.md); the details of this workflow show it filled in. "
    'vote: "approve", "deny" (with justification), "abstain", "recuse", "retract", "request_info", '
    '"answer" (with `answers`), "acknowledge", "release" or "revoke" (with justification). '
    "Answers with a receipt: counted, or why not."
)
DECIDE_SIGNAL_HELP = "the same JSON object as the update, without an answer: read the receipt with the query `status`"
RECHECK_HELP = (
    "says that the world changed: what the action would do is measured again, at most once in the policy's "
    "min_interval. Anything it carries is ignored, and it decides nothing."
)
LOOK_AGAIN_HELP = (
    "asks the run to read the record again, at most once in a minute: the sweep sends it after a new directory. "
    "Anything it carries is ignored, and it decides nothing."
)
RECEIPTS_KEPT = 500
_DIGESTS = ("action_digest", "assessment_digest", "policy_digest")
_REASON, _DUE = 400, 5
HALTED_MEANS = "Answers count; nothing begins until two people release it."


class View:
    """The last thing known of each kind; filled by the workflow as it learns."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._shown: list[str] = []
        self._standing: Standing | None = None
        self._unblock: tuple[tuple[str, ...], ...] = ()
        self._result: ActionResult | None = None
        self._receipts: OrderedDict[str, DecisionReceipt] = OrderedDict()
        self.refused = 0
        self.waits_for = ""
        self.halted = ""
        self.proposal_in_the_clear = False
        self._clear_messages = 0
        self._revision = 1
        self.judged = ""
        self.judged_until: datetime | None = None
        self._due_at: datetime | None = None

    def take_over(
        self, receipts: Sequence[DecisionReceipt], *, refused: int, revision: int, due_at: datetime | None
    ) -> None:
        """What the run before had answered, and where it left the case; shown until the record has said it anew."""
        self._receipts.update((item.decision_id, item) for item in receipts)
        self.refused, self._revision, self._due_at = refused, revision, due_at

    def newest_receipts(self, most: int) -> tuple[DecisionReceipt, ...]:
        """The receipts that were given last, oldest first."""
        return tuple(self._receipts.values())[-most:]

    @property
    def due_at(self) -> datetime | None:
        """When something is due next."""
        return self._standing.due[0].at if self._standing is not None and self._standing.due else self._due_at

    def begin(self, plan: Plan) -> None:
        """The action goes on."""
        self._plan, self._standing, self._unblock = plan, plan.standing, plan.unblock
        self.halted = plan.halted
        # Made once: the details are set at every step, and what is asked about does not change.
        self._shown = screen_markdown(plan.screen) if plan.screen else []

    def stand(
        self, standing: Standing | None, unblock: tuple[tuple[str, ...], ...] = (), halted: str = ""
    ) -> Standing | None:
        """The case moved; where nothing new is known it stands as before. Returns how it stands."""
        if standing is not None:
            self._standing, self._unblock, self.halted = standing, unblock, halted
        return self._standing

    def answered(self, receipt: DecisionReceipt) -> None:
        """A decision was answered; only so many receipts are kept, the newest."""
        self.refused += not receipt.counted
        self._clear_messages += receipt.in_the_clear
        self._receipts[receipt.decision_id] = receipt
        if len(self._receipts) > RECEIPTS_KEPT:
            self._receipts.popitem(last=False)

    def close(self, result: ActionResult) -> None:
        """The action ended."""
        self._result = result

    def status(self, state: State) -> dict[str, Any]:
        """The machine-readable state; the fields are described in docs/spec/contract.md."""
        plan, standing, result = self._plan, self._standing, self._result
        fields = status_fields(
            proposal_id=plan.proposal_id if plan else result.proposal_id if result else None,
            revision=plan.revision if plan else self._revision,
            state=str(state),
            resolution=result.resolution if result else standing.resolution if standing else None,
            verdict=plan.verdict if plan else result.verdict if result else None,
            risk_tier=plan.risk_tier if plan else result.risk_tier if result else None,
            risk_score=plan.risk_score if plan else result.risk_score if result else None,
            action_digest=plan.action_digest if plan else result.action_digest if result else None,
            assessment_digest=plan.assessment_digest if plan else None,
            policy_digest=plan.policy_digest if plan else None,
            presented_digest=_presented(plan) if plan else None,
            screen=plan.screen if plan else None,
            standing=standing,
            receipts=self._receipts,
            result=result,
            refused_messages=self.refused,
            dry_run=self._dry_run,
            accepts_claimed=plan.accepts_claimed if plan else None,
        )
        # Only said where payloads are encrypted.
        clear = {"in_the_clear": self._in_the_clear} if self._in_the_clear else {}
        waits = self.judged if state is State.judging else self.waits_for
        halted = {"halted": self.halted} if self.halted and state is State.pending else {}
        return fields | clear | halted | ({"waits_for": waits} if waits else {})

    def explain(self, state: State) -> dict[str, Any]:
        """Why it is pending, who could unblock it, and what happens at which time."""
        standing = self._standing
        if state is not State.pending or standing is None:
            then = (
                [{"at": instant_text(self._due_at), "what": "due"}] if state is State.assessing and self._due_at else []
            )
            if state is State.judging and self.judged_until is not None:
                then = [{"at": instant_text(self.judged_until), "what": self.judged.partition("; then ")[2]}]
            nothing: dict[str, Any] = {
                "waiting_for": [],
                "proofs": [],
                "could_unblock": {},
                "unblock": [],
                "questions": [],
            }
            return {"summary": self._summary(state), **nothing, "then": then}
        return {
            "summary": self._summary(state),
            **({"halted": self.halted} if self.halted else {}),
            "waiting_for": standing.waiting_for(),
            "proofs": standing.proofs(),
            "could_unblock": standing.could_unblock(),
            "unblock": [list(people) for people in self._unblock],
            "then": [{"at": instant_text(due.at), "what": due.text} for due in standing.due],
            "questions": standing.talk(),
        }

    def markdown(self, state: State) -> str:
        """The current details: what, how bad, how undone, who may decide and how, and last the proposer's words."""
        screen = self._plan.screen if self._plan else None
        parts = [f"## {self._summary(state)}", _identities(self._plan)]
        if self.halted and state is State.pending:
            parts.insert(1, f"**when it was last looked at**, {markdown_text(self.halted, _REASON)}. {HALTED_MEANS}")
        if self._in_the_clear:
            parts.append(f"payloads are encrypted, but in the clear came: {', '.join(self._in_the_clear)}")
        if self._result is not None:
            parts.append(
                "\n".join(f"- {markdown_text(reason.message, _REASON)}" for reason in self._result.reasons[:10])
            )
        if screen is not None:
            *measured, words = self._shown
            asked = state is State.pending and self._standing is not None
            question = _question(screen, self._plan, self._standing) if self._plan and asked and self._standing else ()
            if self._standing is not None and question:
                way = f"`countersign {_goes_on(self._standing.current)} {screen.proposal_id}`"
                parts.insert(1, f"to answer, read this, then {way}; below, under *How to answer*, are the other ways")
            parts += [*measured, *question, words]
        return "\n\n".join(parts)

    @property
    def _in_the_clear(self) -> list[str]:
        """What clients sent in the clear though payloads are encrypted."""
        messages = [f"messages: {self._clear_messages}"] if self._clear_messages else []
        return ["the proposal", *messages] if self.proposal_in_the_clear else messages

    @property
    def _dry_run(self) -> bool:
        plan, result = self._plan, self._result
        return (plan is not None and plan.dry_run) or (result is not None and result.dry_run)

    def _summary(self, state: State) -> str:
        return f"{DRY_RUN}: {self._said(state)}" if self._dry_run else self._said(state)

    def _said(self, state: State) -> str:
        if self._result is not None:
            return f"{self._result.resolution}, outcome {self._result.outcome}"
        if state is State.pending and self._standing is not None:
            current = self._standing.current
            total = len(self._standing.stages)
            waits = "held, to be released" if current.state == "held" else ", ".join(current.missing)
            return f"waiting for stage {current.number} of {total} ({current.name}): {waits}"
        if state is State.judging and self.judged:
            return f"done, and nobody can tell whether it is good: it waits for {markdown_text(self.judged, _REASON)}"
        if self.waits_for:
            return f"waits for its turn: {markdown_text(self.waits_for, _REASON)}"
        return str(state)


def _presented(plan: Plan) -> str | None:
    """The sealed digest; a plan of a release that sealed nothing has none, and its screen is as it was made."""
    return plan.presented_digest or (plan.screen.presented_digest if plan.screen else None)


def _identities(plan: Plan | None) -> str:
    """Whether whoever decides has to prove who it is; before it is known, the worst is said."""
    if plan is None or plan.accepts_claimed:
        return "assurance: **claimed** (identities are not verified: anybody who can send here can answer as anybody)"
    return "assurance: **proved** (a decision counts with a signature or an identity token, and a name alone does not)"


def _question(screen: Screen, plan: Plan, standing: Standing) -> list[str]:
    current = standing.current
    due = [f"- {instant_text(item.at.replace(microsecond=0))}: {markdown_text(item.text)}" for item in standing.due]
    groups = ", ".join(code_text(group) for group in current.groups)
    return [
        "\n".join(
            [
                "### Who may decide",
                f"- stage {current.number} waits for {', '.join(current.missing)}; may answer: {groups}",
                *(f"- {markdown_text(said)}" for said in sayings(current.wanted)),
                *(f"- the clock waits for an answer until {instant_text(at)}" for at in _paused(current)),
                *due[:_DUE],
            ]
        ),
        *_talk(standing),
        "\n".join(["### How to answer", *_how(screen, plan, current)]),
    ]


def _how(screen: Screen, plan: Plan, current: StageStanding) -> list[str]:
    """By which commands, and with which JSON; one that only names somebody is shown only where it counts."""
    command = (
        f"temporal workflow update execute --workflow-id {workflow_id(screen.proposal_id)} --name {DECIDE} "
        f"--input '<the json>'"
    )
    vote, named = _goes_on(current), _counts_by_name(plan, current)
    if named:
        below = "or send this, names put in, in the same way; it proves nothing, and counts here all the same:"
    else:
        below = "or send this in the same way, signed by another program (`docs/spec/decision.md`):"
    ways = "" if named else f", signed with {_ways(current.wanted.get(vote))}"
    pasted = f"*More Actions*, *Send Update*, `{DECIDE}` (or *Send a Signal*)"
    return [
        f"- in a terminal: `countersign {vote} {screen.proposal_id}`, or `deny`{ways}; it does everything at once",
        f"- on this page: `countersign sign {screen.proposal_id} --{vote}`, or `--deny`, prints the JSON for {pasted}",
        f"- {below}",
        "",
        f"```json\n{_template(screen, plan, current)}\n```",
        f"```\n{command}\n```",
    ]


def _goes_on(current: StageStanding) -> Vote:
    """The vote by which it goes on: what is held has to be released first."""
    return Vote.release if current.state == "held" else Vote.approve


def _counts_by_name(plan: Plan, current: StageStanding) -> bool:
    """Whether such a vote counts that only names somebody: workers take it, and the stage asks for no more."""
    wanted = current.wanted.get(_goes_on(current))
    return plan.accepts_claimed and not _asks_more(wanted, Assurance.claimed)


def _ways(wanted: Wanted | None) -> str:
    """The options with which `countersign` shows at best what is wanted; a key that a program can use shows AAL1."""
    by_person = "`--oidc ISSUER` or `--ssh FILE` of a security key"
    return by_person if _asks_more(wanted, Assurance.aal1) else "`--key FILE`, `--ssh FILE` or `--oidc ISSUER`"


def _asks_more(wanted: Wanted | None, shown: Assurance) -> bool:
    """Whether more is wanted than a proof of this assurance that does not say when somebody authenticated."""
    return wanted is not None and (wanted.assurance.rank > shown.rank or wanted.max_age_seconds is not None)


def _paused(current: StageStanding) -> list[datetime]:
    return [current.paused_until.replace(microsecond=0)] if current.paused_until else []


def _talk(standing: Standing) -> list[str]:
    """What was asked and answered: words of people, the newest last."""
    said = [f"- {markdown_text(line, _REASON)}" for line in standing.talk()[-_DUE:]]
    return ["\n".join(["### Questions and answers", *said])] if said else []


def _template(screen: Screen, plan: Plan, current: StageStanding) -> str:
    """The decision filled in, a few fields a line: what is to be changed stands in lines of its own."""
    signed = {"audience": plan.audience, "proof": {"kind": "key", "jws": "SIGNATURE"}}
    named = {"proof": {"kind": "claimed", "identity": "YOUR-IDENTITY"}}
    again = f"revision-{screen.revision}-" if screen.follows is not None else ""
    lines: tuple[dict[str, Any], ...] = (
        {"decision_id": f"YOUR-NAME-{again}stage-{current.number}"},
        named if _counts_by_name(plan, current) else signed,
        {"vote": _goes_on(current), "justification": ""},
        {"proposal_id": screen.proposal_id, "revision": screen.revision, "stage": current.number},
        *({name: getattr(screen, name)} for name in _DIGESTS),
        {"presented_digest": _presented(plan)},
        {"issued_at": instant_text(screen.assessed_at), "expires_at": instant_text(screen.absolute_deadline)},
    )
    return "{" + ",\n ".join(json.dumps(line)[1:-1] for line in lines) + "}"
