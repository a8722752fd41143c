"""What changed since people were asked before: a section of the screen in words (`policy/screens/screen_text.py`).

- That it is held, each change, which revision this one follows, whose votes are void and how many are kept.
- The sentences are ours (`policy/approval/drift.py`); names and reasons in them are other people's.
"""

from policy.screen import Screen
from policy.screens.screen_pieces import Line, Noted, names_of

SHOWN_CHANGES = 6


def changed(screen: Screen) -> tuple[Line, ...]:
    """The lines; none for what nobody was asked about before."""
    if screen.follows is None:
        return ()
    shown = screen.changed[:SHOWN_CHANGES]
    more = screen.changed_count - len(shown)
    return (
        *_held(screen),
        *((Noted(item),) for item in shown),
        *(((f"and {more} more",),) if more > 0 else ()),
        (f"this is revision {screen.revision}, instead of revision {screen.follows}",),
        *_votes(screen),
    )


def _held(screen: Screen) -> tuple[Line, ...]:
    if not screen.held:
        return ()
    return (("HELD because it changed again and again: the first stage releases it before anybody approves",),)


def _votes(screen: Screen) -> tuple[Line, ...]:
    void: tuple[Line, ...] = ()
    if screen.voided:
        void = (("void are the votes of ", *names_of(screen.voided, screen.voided_count), ": answer again"),)
    kept = screen.kept_count
    return void + (((f"{kept} {'vote is' if kept == 1 else 'votes are'} kept",),) if kept else ())
