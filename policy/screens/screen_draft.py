"""What a draft of a governed document would change: a section of the screen in words (`policy/screens/screen_text.py`).

- The sentences about changes are ours (`policy/checks/policy_diff.py`), the names in them are its authors'. What an
  author wrote freely, a reason or a description, changes no answer and is not among them.
- Changes in meaning are computed for policies. That of another kind of document says that they are not.
"""

from policy.screen import ScreenDraft
from policy.screens.screen_pieces import Line, Named, Noted

SHOWN_CHANGES = 8
_COMPARE = "compare the texts with `countersign policy draft` and the id of this action"


def drafted(draft: ScreenDraft) -> tuple[Line, ...]:
    """Which document would be in force, over which, who wrote it, and what it changes in meaning."""
    over: Line = (", over ", Named(draft.previous)) if draft.previous else (", the first of its kind",)
    wrote = ", ".join(draft.authors) or "nobody that is named"
    return (
        ("puts in force the ", Named(draft.kind), " ", Named(draft.digest), *over),
        ("written by ", Noted(wrote)),
        *(("CANNOT BE PUBLISHED: ", Noted(item)) for item in draft.problems),
        *_changes(draft),
    )


def in_meaning(draft: ScreenDraft) -> str:
    """How much it changes, in a few words."""
    if not draft.compared:
        return "changes in meaning were not computed"
    return "1 change in meaning" if draft.change_count == 1 else f"{draft.change_count} changes in meaning"


def _changes(draft: ScreenDraft) -> tuple[Line, ...]:
    count, shown = draft.change_count, draft.changes[:SHOWN_CHANGES]
    if draft.uncompared:
        return ((Noted(draft.uncompared), f"; {_COMPARE}"),)
    if not draft.compared:
        return ((f"what it changes in meaning was not computed: {_COMPARE}",),)
    if not count:
        return (("it changes nothing in meaning",),)
    more = count - len(shown)
    return (
        (f"{in_meaning(draft)}:",),
        *(("change: ", Noted(item)) for item in shown),
        *(((f"and {more} more: countersign policy diff shows them all",),) if more > 0 else ()),
    )
