"""The documentation as a site: it is built whole, without a warning, and fetches nothing."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import yaml
from meltano_project import BIN, ROOT, environment
from readme import blocks

from docs.places import PAGES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

# What makes a browser fetch something; links in a text do not.
FETCHING = {"img": "src", "script": "src", "iframe": "src", "source": "src"}
LINKS_TO_FETCH = {"stylesheet", "preload", "preconnect", "icon", "dns-prefetch"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [BIN / "mkdocs", "build", "--strict", "--site-dir", folder],
        check=False,
        cwd=ROOT,
        # A build that asks for an address fails.
        env={
            **environment(),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Reader(HTMLParser):
    """Notes what a page fetches, its blocks, tables and text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if FETCHING.get(tag) in given:
            self.fetched.append(given[FETCHING[tag]])
        if tag == "link" and LINKS_TO_FETCH & set((given.get("rel") or "").split()):
            self.fetched.append(given["href"])

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", sorted(page.stem for page in PAGES.glob("*.md")))
def test_a_page_shows_all_that_its_text_has(site, name):
    source = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    page = Reader(site / f"{name}.html")
    # A block or table that is wrongly indented or interrupted becomes a paragraph.
    shown = [block for block in blocks() if block.place.startswith(f"{name}.md:")]
    assert page.tags.count("pre") == len(shown)
    for block in shown:
        assert block.text.strip() in page.text, block.place
    assert page.tags.count("table") == len(re.findall(r"^\|[-|:]+\|$", source, re.MULTILINE))
    rows = re.findall(r"^\|.*\|$", source, re.MULTILINE)
    assert page.tags.count("tr") == len(rows) - page.tags.count("table")


def test_a_reader_is_sent_nowhere_else(site):
    for page in site.glob("*.html"):
        fetched = Reader(page).fetched
        assert fetched
        assert [address for address in fetched if re.match(r"(?:https?:)?//", address)] == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("lookback_days", "late-events.html"),
        ("pgtz", "loaders.html"),
        ("hash_salt", "personal-data.html"),
        ("attribution_window", "from-tap-mixpanel.html"),
        ("terminated early", "when-something-fails.html"),
    ],
)
def test_what_one_searches_for_is_found(site, words, page):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {
        entry["location"].partition("#")[0]
        for entry in index["docs"]
        if words in f"{entry['title']} {entry['text']}".lower()
    }
    assert page in found


def test_each_page_is_in_the_navigation():
    listed: set[str] = set()
    for entry in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]:
        for pages in entry.values() if isinstance(entry, dict) else [[entry]]:
            listed |= set(pages)
    assert listed == {page.name for page in PAGES.glob("*.md")}
