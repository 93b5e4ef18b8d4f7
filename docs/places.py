"""The documentation's files, and the places in them that are written from code.

A place stands between `<!-- NAME: … -->` and `<!-- end of NAME -->`, in as many files as need it.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = ROOT / "docs" / "pages"

_PLACE = r"(<!-- {0}: .*? -->\n).*?(<!-- end of {0} -->)"


def files() -> list[Path]:
    """README, and the pages of the site."""
    return [README, *sorted(PAGES.glob("*.md"))]


def read() -> dict[Path, str]:
    """The text of each file."""
    return {file: file.read_text(encoding="utf-8") for file in files()}


def fill(texts: dict[Path, str], written: dict[str, str]) -> dict[Path, str]:
    """Return the texts with what is true today in their places.

    Args:
        texts: By file.
        written: What belongs into a place, by the place's name.

    Raises:
        ValueError: Something has a place in none of the files.
    """
    filled = dict(texts)
    for name, what in written.items():
        place = re.compile(_PLACE.format(re.escape(name)), re.DOTALL)
        found = 0
        for file, text in filled.items():
            filled[file], count = place.subn(lambda m, new=what: f"{m[1]}\n{new}\n\n{m[2]}", text)
            found += count
        if not found:
            raise ValueError(f"the documentation has no place for its {name}")
    return filled
