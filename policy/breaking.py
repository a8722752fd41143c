"""Breaking the glass: by whom, how often, and who is asked then.

- Where `who` is given, somebody behind the proposal (whom it acts for, or the agent's owner) has to be one of them.
- `budget` counts, for each person behind the proposal, the actions that broke this glass in so many days, whoever the
  agent was. Who names another person each time counts by the agent's owner all the same.
- Over the budget, or with a review of any glass overdue, `dual_control` is asked in place of the glass's own chain.
  Without one the glass is not broken: the usual chain is asked. Neither is about anybody else, or about another glass.
- What ran by it is reviewed by the chain `review`, and by its own chain where it has none, within `review_within`. Who
  stands behind the action does not review it. A review that is overdue stays open: it is answered late.
- A dry run breaks nothing: it is asked like the real action, opens no review and spends no budget.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from policy.approval.eligibility import fit
from policy.base import Reason
from policy.observed import GlassBreak
from policy.people.facts import PersonFacts
from policy.rules.exceptions import BreakGlass

REFUSED, DUAL_CONTROL = "break_glass_refused", "dual_control"


@dataclass(frozen=True)
class Broken:
    """What breaking a glass comes to: whom to ask (None: it is not broken), and why it is otherwise than usual."""

    chain: str | None
    reason: Reason | None = None


def broken(
    glass: BreakGlass, behind: Iterable[PersonFacts], breaks: Iterable[GlassBreak], at: datetime | None
) -> Broken:
    """Whom an emergency asks; pure.

    Args:
        glass: the first that speaks of the operation.
        behind: who stands behind the proposal, as the directory has them.
        breaks: what those people broke, other actions than this one.
        at: the instant (UTC); where nobody knows it, every count is over.
    """
    people = {person.person_id: person for person in behind}
    if glass.who is not None and not any(fit(glass.who, person).fits for person in people.values()):
        names = ", ".join(people) or "nobody known"
        message = f"{glass.id}: {names} may not break it, that is for {glass.who.wanted}: the usual chain is asked"
        return Broken(None, Reason(code=REFUSED, message=message))
    why = _over_budget(glass, people, breaks, at) or _overdue(people, breaks, at)
    if why is None:
        return Broken(glass.chain)
    if glass.dual_control is None:
        return Broken(None, Reason(code=REFUSED, message=f"{glass.id}: {why}: the usual chain is asked"))
    return Broken(glass.dual_control, Reason(code=DUAL_CONTROL, message=f"{glass.id}: {why}: dual control is asked"))


def _over_budget(
    glass: BreakGlass, people: Iterable[str], breaks: Iterable[GlassBreak], at: datetime | None
) -> str | None:
    if glass.budget is None:
        return None
    if at is None:
        return "nobody knows when it is asked for"
    since = at - timedelta(days=glass.budget.days)
    for person in people:
        mine = {
            item.proposal_id
            for item in breaks
            if (item.person, item.break_glass) == (person, glass.id) and item.at > since
        }
        if len(mine) >= glass.budget.count:
            return f"{person} broke it {len(mine)} times in {glass.budget.days} days, {glass.budget.count} are allowed"
    return None


def _overdue(people: Iterable[str], breaks: Iterable[GlassBreak], at: datetime | None) -> str | None:
    for item in breaks:
        if item.person in people and not item.closed and (at is None or item.due_at < at):
            return f"the review of {item.proposal_id} is overdue for {item.person}"
    return None
