"""The words of notices, against golden files. `python tests/unit/test_notices_wording.py` writes them."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from markdown_it import MarkdownIt

from policy.notices.notice import Notice, NoticeKind
from policy.notices.occasions_told import digest_notice
from policy.notices.wording import NO_VOTE, SHOWN_ITEMS, markdown, plain, title
from policy.screen import Screen
from policy.screens.screen_plain import NOTICE_WIDTH
from tests.unit.builders import at
from tests.unit.hostile import TEXTS
from tests.unit.notices import one_of_each
from tests.unit.screens import high_impact

GOLDEN = Path(__file__).parents[1] / "notices_golden"
LINK = "https://temporal.example.org/namespaces/default/workflows/action%2Fhigh-impact-1"
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
EFFECTS = {"link_open", "image", "heading_open", "html_inline", "html_block", "fence", "blockquote_open", "table_open"}


def scenes() -> dict[str, tuple[Notice, Screen | None]]:
    """One of every kind; the stage that opens with what approvers are shown."""
    found = one_of_each()
    digest = digest_notice(("person", "sam"), tuple(found.values()), at(60))
    shown = {str(kind): (notice, None) for kind, notice in {**found, NoticeKind.digest: digest}.items()}
    return {**shown, "stage_opened": (found[NoticeKind.stage_opened], high_impact())}


def written(name: str, kind: str) -> str:
    notice, screen = scenes()[name]
    if kind == "md":
        return markdown(notice, screen, link=LINK) + "\n"
    return f"{title(notice)}\n\n{plain(notice, screen, link=LINK)}\n"


FILES = [(name, kind) for name in map(str, NoticeKind) for kind in ("txt", "md")]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_each_kind_reads_as_it_should(name: str, kind: str) -> None:
    """Every kind of notice has its golden file, in plain text and in markdown."""
    assert written(name, kind) == (GOLDEN / f"{name}.{kind}").read_text()


@pytest.mark.parametrize("name", [str(kind) for kind in NoticeKind])
def test_every_notice_says_that_it_decides_nothing(name: str) -> None:
    """Whatever is told, an answer to it is no vote, and the deduplication key is in the text."""
    notice, screen = scenes()[name]

    for text in (plain(notice, screen), markdown(notice, screen).replace("\\", "")):
        assert NO_VOTE in text
        assert notice.notice_id in text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_has_an_effect(text: str) -> None:
    """What somebody wrote stays one line, and no link, image, heading, table or mention comes of it."""
    for notice in one_of_each(text).values():
        lines = plain(notice).split("\n")
        assert all(len(line) <= NOTICE_WIDTH and line.isprintable() for line in lines)
        assert not any(mark in plain(notice) for mark in ("<!", "<@", "http:", "https:", " @here", " @channel"))
        shown = MARKDOWN.parse(markdown(notice))
        kinds = {token.type for block in shown for token in (block, *(block.children or ()))}
        assert not kinds & EFFECTS


def test_a_digest_has_the_earliest_deadline_first_and_is_bounded() -> None:
    """A digest of many lists so many, and says how many more there are."""
    opened = one_of_each()[NoticeKind.stage_opened]
    many = [opened.model_copy(update={"key": f"n{number}", "deadline": at(1000 - number)}) for number in range(200)]

    lines = plain(digest_notice(("person", "sam"), many, at(0))).splitlines()

    assert lines[0] == "countersign: 200 things wait to be read"
    deadlines = [line.split("until ")[1][:16] for line in lines if "until " in line]
    assert len(deadlines) == SHOWN_ITEMS
    assert deadlines == sorted(deadlines)
    assert f"and {200 - SHOWN_ITEMS} more: countersign list" in lines


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for scene, suffix in FILES:
        (GOLDEN / f"{scene}.{suffix}").write_text(written(scene, suffix))
