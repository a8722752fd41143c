"""What an approver sees, in every medium, against golden files. `python tests/unit/test_screen_text.py` writes them."""

import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from markdown_it import MarkdownIt

from policy.base import Reason
from policy.evaluation import AppliedException, Evaluation, Excluded
from policy.observed import DraftFact, Observed
from policy.proposal import MAX_STEPS
from policy.revision import Superseded, VoidedVote
from policy.rules.chains import Verdict
from policy.screen import UNSAID, Screen
from policy.screens import screen_text
from policy.screens.neutral import chat_text, markdown_text, sentence
from policy.screens.screen_markdown import LIMIT_BYTES, screen_markdown
from policy.screens.screen_plain import (
    NOTICE_LINES,
    NOTICE_WIDTH,
    WIDTH,
    columns_of,
    screen_notice,
    screen_plain,
)
from policy.undecided import Judging, OnExpiry
from tests.unit.found_screens import RESOLVED, hostile_found
from tests.unit.found_screens import SCENES as FOUND
from tests.unit.governed_screens import GOVERNED, publish
from tests.unit.hostile import NAMES, TEXTS
from tests.unit.screens import DATABASE, DIGEST, NOW, high_impact, proposal_of, revision_of, screen_of
from tests.unit.screens import SCENES as ASKED

SCENES = {**ASKED, **GOVERNED, **FOUND}
GOLDEN = Path(__file__).parents[1] / "golden"
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
Writer = Callable[[Screen], str]
# Surrogates, noncharacters and NUL are refused where a proposal is received.
_RECEIVED = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0")


def markdown(screen: Screen) -> str:
    """The blocks of the markdown, as the Temporal UI gets them."""
    return "\n\n".join(screen_markdown(screen))


WRITERS: dict[str, Writer] = {"md": markdown, "txt": screen_plain, "notice.txt": screen_notice}
SENTENCES: dict[str, Callable[[str], str]] = {
    "md": lambda text: markdown_text(text, hosts=True),
    "txt": lambda text: sentence(text, hosts=True),
    "notice.txt": lambda text: chat_text(text, 160, hosts=True),
}


def hostile_screen(text: str, name: str = "raise-work-mem", steps: int = 2) -> Screen:
    """A screen with a text in every field that a proposer writes freely, and a name in every field that takes names."""
    step = {
        "name": name,
        "operation": "postgres.parameter.set",
        "parameters": {"name": text[:1000], text[:50] or "x": [text[:1000]]},
        "undo": {"operation": "postgres.parameter.reset", "parameters": {"name": {text[:50]: text[:1000]}}},
    }
    proposal = proposal_of(
        agent={"id": name, "model": text, "version": text},
        rationale=text,
        evidence=[{"kind": name, "text": text, "url": text}] * 5,
        target=name,
        steps=[{**step, "name": f"{name[:190]}{number}"} for number in range(steps)],
        success_criteria=[
            {"probe": "postgres.parameter.value", "parameters": {text[:50]: text}, "equals": text},
            step_criterion(text),
        ],
        alternatives=[{"operation": "postgres.parameter.reset", "summary": text}] * 5,
    )
    facts = {**RESOLVED, "resolved_ids": (name,) * 30, "unresolved": text}
    revision = revision_of(proposal, facts, Observed(at=NOW, **hostile_found(text)), _hostile_answer(text))
    voided = (VoidedVote(decision_id="d-1", person_id=text),)
    before = Superseded(revision=1, digest=DIGEST, rule="x", changes=(text,) * 12, voided=voided)
    return screen_of(proposal, revision.model_copy(update={"superseded": before, "revision": 2}))


def hostile_draft(text: str, name: str = "dba", **more: Any) -> Screen:
    """A draft whose authors put a text wherever one of theirs could come out again."""
    changes = tuple(f"{text[:400]}: {text} -> {name} (milder)" for _ in range(12))
    fact = {"kind": "policy", "previous": text, "authors": (text, name), "changes": changes, **more}
    proposal = proposal_of()
    observed = Observed(at=NOW, draft=DraftFact(digest=DIGEST, **fact))
    return screen_of(proposal, revision_of(proposal, DATABASE, observed, _hostile_answer(text)))


def _hostile_answer(text: str) -> Evaluation:
    """An answer with reasons and names as the authors of a policy could write them."""
    applied = AppliedException(id=text[:100], approved_by=(text,), expires_at=NOW, reason=text)
    return Evaluation(
        verdict=Verdict.hold,
        reasons=(Reason(code="rule_hold", message=text),),
        decided_by=text,
        decided_in=text,
        exceptions=(text[:100],),
        applied=(applied,),
        break_glass=text,
        excluded=(Excluded(people=(text,), reason=text),),
    )


def step_criterion(text: str) -> dict[str, Any]:
    """A criterion with parameters that a proposer chose."""
    return {"probe": "postgres.parameter.value", "parameters": {"name": text}, "equals": [text]}


def _all_at_once(make: Callable[[str, str], Screen]) -> Screen:
    """Every text of the corpus that is not endless in one text, and a name that looks like a mention."""
    texts = (text for text in TEXTS.values() if len(text) < 100)
    return make("\n".join(texts)[:2000], NAMES[1])


def _texts(medium: str) -> str:
    return "".join(f"{name}:\n    {SENTENCES[medium](text)}\n" for name, text in TEXTS.items())


FILES = {f"{scene}.{medium}": (medium, scene) for scene in SCENES for medium in WRITERS} | {
    f"hostile/{what}.{medium}": (medium, what) for what in ("texts", "screen", "draft") for medium in WRITERS
}


def _text(file: str) -> str:
    medium, what = FILES[file]
    if what == "texts":
        return _texts(medium)
    hostile = hostile_draft if what == "draft" else hostile_screen
    return WRITERS[medium](SCENES[what]() if what in SCENES else _all_at_once(hostile)) + "\n"


@pytest.mark.parametrize("file", FILES)
def test_the_text_is_the_golden_one(file: str) -> None:
    """What approvers read changes on purpose only."""
    assert _text(file) == (GOLDEN / file).read_text()


def test_there_is_no_golden_file_without_its_text() -> None:
    """A text that was dropped leaves no file behind."""
    found = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*") if path.is_file()}
    assert found == set(FILES)


def _check_terminal(screen: Screen) -> None:
    lines = screen_plain(screen).split("\n")
    assert not [char for line in lines for char in line if not char.isprintable()]
    assert max(map(columns_of, lines)) <= WIDTH
    first = lines.index("")
    left = [line for line in lines[first:] if line and not line.startswith("  ")]
    assert left == [title for title in screen_text.TITLES if title in left]
    assert left[-1] == screen_text.WORDS
    assert all(line.startswith("    ") for line in lines[1:first])


def _check_markdown(screen: Screen) -> None:
    text = markdown(screen)
    assert len(text.encode()) <= LIMIT_BYTES
    tokens = MARKDOWN.parse(text)
    inside = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inside)}
    assert not kinds & {
        "link_open",
        "image",
        "html_block",
        "html_inline",
        "fence",
        "code_block",
        "hr",
        "s_open",
        "table_open",
        "blockquote_open",
    }
    titles = [inline.content for token, inline in pairwise(tokens) if token.type == "heading_open"]
    assert titles == [title for title in screen_text.TITLES if title in titles]
    assert titles[-1] == screen_text.WORDS
    shown = " ".join(token.content for token in inside if token.type in ("text", "text_special"))
    assert not re.search(r"://|\bwww\.|@(?!\])|javascript:\S", shown, re.IGNORECASE)


def _check_notice(screen: Screen) -> None:
    lines = screen_notice(screen).split("\n")
    assert len(lines) <= NOTICE_LINES
    assert max(map(len, lines)) <= NOTICE_WIDTH
    assert not [char for line in lines for char in line if not char.isprintable()]
    assert lines[-1].startswith("the proposer says (not verified): ")
    assert [line for line in lines if line.startswith("we recommend: ")] == [
        f"we recommend: {item.text}" for item in screen.recommended[:2]
    ]
    assert not re.search(r"[<>&]|://|@(?!\])|\bwww\.", "\n".join(lines))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_of_a_proposer_has_an_effect(text: str) -> None:
    """In every field, in every medium: no link, mention, picture, control character, and no title that is not ours."""
    screen = hostile_screen(text)

    _check_terminal(screen)
    _check_markdown(screen)
    _check_notice(screen)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_proposer_has_an_effect(name: str) -> None:
    """The same for names, which are in code spans or broken where they look like more than a name."""
    screen = hostile_screen(TEXTS["much to escape"], name, MAX_STEPS)

    _check_terminal(screen)
    _check_markdown(screen)
    _check_notice(screen)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_of_an_author_has_an_effect(text: str) -> None:
    """What a draft's authors wrote comes out in its changes, and in why it cannot be published."""
    for screen in (hostile_draft(text, NAMES[0]), hostile_draft(text, kind="catalog", problems=(text,) * 9)):
        _check_terminal(screen)
        _check_markdown(screen)
        _check_notice(screen)


@settings(max_examples=40)
@given(st.text(_RECEIVED, max_size=300))
def test_no_text_at_all_has_an_effect(text: str) -> None:
    """The same for whatever anybody could write."""
    screen = hostile_screen(text)

    _check_terminal(screen)
    _check_markdown(screen)
    _check_notice(screen)


@settings(max_examples=40)
@given(st.text(max_size=300))
def test_nor_has_a_workflow_that_lies(text: str) -> None:
    """A screen that does not come from the record may hold anything in any text, and is shown without effect, too."""
    draft = publish().model_dump(mode="json")["draft"]
    value = {**high_impact().model_dump(mode="json"), "draft": draft}
    screen = Screen.model_validate(_with(value, text))

    _check_terminal(screen)
    _check_markdown(screen)


_OURS = {"assessed_at", "absolute_deadline", "at", "as_of", "catalog_at", "risk_tier", "tier", "floor", "on_stop"}
_ONE_OF = {"scope", "strength", "kind", "part", "enforcement", "verdict", "permit_until", "expires_at"}


def _with(value: Any, text: str, field: str = "") -> Any:
    """A JSON value with this text for every text of it that is not one of a few words."""
    if isinstance(value, dict):
        return {name: _with(item, text, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_with(item, text, field) for item in value]
    return text if isinstance(value, str) and field not in _OURS | _ONE_OF else value


@pytest.mark.parametrize("scene", SCENES)
def test_a_screen_is_read_in_half_a_minute(scene: str) -> None:
    """Not more than 60 lines of markdown that hold something, whatever there is to say."""
    assert len([line for line in markdown(SCENES[scene]()).split("\n") if line]) <= 60


@pytest.mark.parametrize("scene", SCENES)
def test_all_media_say_the_same(scene: str) -> None:
    """Markdown and terminal have the same sections with the same lines, but for what each of them escapes."""
    screen = SCENES[scene]()

    assert _bare(screen_plain(screen, 10_000)) == _bare(markdown(screen))


def _bare(text: str) -> list[str]:
    """The letters and figures of each line that has some."""
    return [bare for line in text.split("\n") if (bare := re.sub(r"[\W_]", "", line))]


def test_the_words_of_the_proposer_come_last() -> None:
    """Measured facts stand above everything that the proposer could have made up, and the advice is not among it."""
    text = screen_plain(hostile_screen("APPROVE-THIS"))
    above, words = text.split(screen_text.WORDS)

    assert "APPROVE-THIS" in words
    assert "APPROVE-THIS" not in above.split(screen_text.RECOMMENDED)[1].split(screen_text.POLICY)[0]


def test_the_denial_of_the_same_effect_comes_first() -> None:
    """Who said no, when, and why stands above what is asked for."""
    text = screen_plain(high_impact())

    assert text.index("denied by ben, cleo on 2030-01-25") < text.index(screen_text.HAPPENS)


def test_what_cannot_be_compared_is_no_change() -> None:
    """A draft that is too different, and one of a kind that is not compared, say so instead of a count."""
    sentence_of = f"{UNSAID}: they tell 90000 cases apart"
    different = screen_plain(hostile_draft("x", changes=(sentence_of,)), 10_000)
    catalog = screen_plain(hostile_draft("x", kind="catalog", changes=()), 10_000)

    assert f"{sentence_of}; compare the texts with `countersign policy draft`" in different
    assert "in meaning was not computed" in catalog
    assert "changes in meaning:" not in different + catalog


def test_what_a_draft_changes_is_counted_though_not_all_is_shown() -> None:
    """Eight changes are shown, and the count is that of all, of those that were never kept, too."""
    text = screen_plain(publish(), 10_000)

    assert "32 changes in meaning:" in text
    assert text.count("  change: ") == 8
    assert "and 24 more: countersign policy diff shows them all" in text
    assert text.index(screen_text.HAPPENS) < text.index(screen_text.DRAFT) < text.index(screen_text.WHY)


if __name__ == "__main__":
    for path in FILES:
        (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
        (GOLDEN / path).write_text(_text(path))


@pytest.mark.parametrize(
    ("verb", "then"), [("compensate", "what was done is undone"), ("hold", "it is left as it is, under a hold")]
)
def test_an_approver_sees_what_becomes_of_what_nobody_can_tell(verb: OnExpiry, then: str) -> None:
    """For how long people may say something, and what happens when nobody does; nothing where the policy is silent."""
    judged = high_impact().model_copy(update={"judging": Judging(within_seconds=1800, on_expiry=verb)})
    said = f"if nobody can tell, people have 30 min to accept or revoke it; then {then}"
    assert said in " ".join(screen_plain(judged).split())
    assert said in " ".join(" ".join(screen_markdown(judged)).split())
    assert "if nobody can tell" not in screen_plain(high_impact())
