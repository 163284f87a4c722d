"""The pages: each link leads somewhere, each path exists, and the sentences can be read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support.process import CHECKOUT

PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *CHECKOUT.glob("examples/*.md")]
)
LONGEST_LINE = 105  # characters, outside of tables and code
LONGEST_SENTENCE = 36  # words
UNREADABLE = re.compile(r"(What|Who|Whoever|Those who|All that|So is)\b(?!.*\?$)")
CODE = re.compile(r"```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
OURS = re.compile(r"`((?:packages|services|infra|tests|docs|examples)/[\w./-]+)`")
# Made by programs, or by the reader of a page.
NOT_HERE = re.compile(r"services/(texts|compute/\S*collatz|web/shop|web/notes)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in plain}


def paragraphs(page: Path) -> Iterator[str]:
    """The prose of a page, without code, tables, headings and lists' marks."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", CODE.sub("\n\n", page.read_text())):
        text = " ".join(re.sub(r"^\s*(?:[-*]|\d+\.|>)\s+", "", block).split())
        if text and not text.startswith(("#", "|", "<", "[")):
            yield text


def sentences(page: Path) -> Iterator[str]:
    for text in paragraphs(page):
        without_links = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
        yield from re.split(r"(?<=[.?!])[)\"]?\s+(?=[A-Z`*(\"])", without_links)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(CODE.sub("", page.read_text())):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_path_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md" or page.parent.name == "decisions":
        return  # they tell of other times too
    for path in OURS.findall(CODE.sub("", page.read_text())):
        assert (CHECKOUT / path).exists() or NOT_HERE.match(path), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_sentences_can_be_read(page: Path) -> None:
    for line in CODE.sub("", page.read_text()).splitlines():
        in_one_piece = line.startswith("|") or "](" in line or "`" in line
        assert len(line) <= LONGEST_LINE or in_one_piece, line
    for sentence in sentences(page):
        assert len(sentence.split()) <= LONGEST_SENTENCE, sentence
        assert not UNREADABLE.match(sentence), sentence
