"""One idea a folder: the way of an event is the order of imports, and nothing grows without end."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest
from meltano_project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "tap_mixpanel_export"
FOLDER = ROOT / PACKAGE
WAY = (
    *("xdm", "api", "records", "output", "sync", "report", "config"),
    *("export", "dlt", "spark"),
    *("streams", "tap", "cli", "__main__"),
)
"""Folders and files of the product: each may import those before it.

All of them may import the other files beside them (`errors`, `timezones` and such), which import
each other only.
"""

MOST_LINES_OF_A_FUNCTION = 52
MOST_LINES_OF_A_FILE = 450
MOST_MODULES_OF_STREAMS = 8


@cache
def modules() -> dict[str, Path]:
    """Files by the name that they are imported by."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(FOLDER.rglob("*.py"))
    }


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """Own modules that a piece of code imports."""
    for inner in ast.walk(node):
        names = []
        if isinstance(inner, ast.ImportFrom):
            assert inner.level == 0, "a relative import"
            whole = [f"{inner.module}.{alias.name}" for alias in inner.names]
            names = [name if name in modules() else f"{inner.module}" for name in whole]
        elif isinstance(inner, ast.Import):
            names = [alias.name for alias in inner.names]
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def imported_at_run_time(name: str) -> set[str]:
    """Without what is imported for the type checker only."""
    found = set(imported(tree(name)))
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            body = ast.Module(node.body, [])
            found -= set(imported(body))
    return found


def wing(name: str) -> str:
    """`sync` of `tap_mixpanel_export.sync.pool`."""
    return [*name.split("."), ""][1]


def functions() -> Iterator[tuple[str, int]]:
    """Each function, and how many lines it has without its docstring."""
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                yield f"{name}.{node.name}", lines


def place(name: str) -> int:
    """Where a module stands on the way; 0 for what all may import."""
    return WAY.index(wing(name)) + 1 if wing(name) in WAY else 0


def test_every_folder_has_its_place():
    folders = {path.name for path in FOLDER.iterdir() if (path / "__init__.py").exists()}
    assert folders <= {*WAY, "sandbox"}


def test_readme_tells_the_way_of_an_event_in_the_order_of_imports():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, found, text = readme.partition("**The way of an event.** ")
    assert found
    named = re.findall(r"`(\w+)(?:/|\.py)`", text.partition("\n\n")[0])
    assert named == [name for name in WAY if name != "__main__"]


def test_no_file_imports_one_that_comes_later():
    later = [
        f"{name} imports {other}"
        for name in modules()
        # The package itself is the face of it all.
        if wing(name) not in {"sandbox", ""}
        for other in imported(tree(name))
        if place(other) > place(name)
    ]
    assert set(later) == set()


def test_nothing_is_imported_in_a_circle():
    graph = {name: imported_at_run_time(name) - {PACKAGE} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]))


def test_the_sandbox_and_the_product_share_nothing():
    across = [
        f"{name} imports {other}"
        # All commands begin in one file.
        for name in modules()
        if wing(name) != "__main__"
        for other in imported(tree(name))
        if wing(other) and (wing(name) == "sandbox") != (wing(other) == "sandbox")
    ]
    assert across == []


def test_the_stream_is_glue_only():
    own = set(imported(tree(f"{PACKAGE}.streams")))
    assert len(own) <= MOST_MODULES_OF_STREAMS, sorted(own)


def test_no_function_is_too_long_to_be_read_at_once():
    long = {name: lines for name, lines in functions() if lines > MOST_LINES_OF_A_FUNCTION}
    assert long == {}


def test_no_file_is_too_long():
    lines = {name: path.read_text().count("\n") for name, path in modules().items()}
    assert {name: n for name, n in lines.items() if n > MOST_LINES_OF_A_FILE} == {}


def test_no_two_modules_or_classes_of_a_wing_have_one_name():
    named = defaultdict(list)
    for name in modules():
        # A folder is no module, and `__init__` is its name.
        if modules()[name].name != "__init__.py":
            named[wing(name), name.rpartition(".")[2]].append(name)
        for node in tree(name).body:
            if isinstance(node, ast.ClassDef):
                named[wing(name), node.name].append(name)
    double = {f"{kind} {name}" for (kind, name), places in named.items() if len(places) > 1}
    assert double == set()


def test_the_way_of_an_event_is_the_order_of_imports():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)/`", text, re.MULTILINE)
    order = [WAY.index(name) for name in told if name in WAY]
    assert len(order) > 3
    assert order == sorted(order)


def test_no_two_files_of_tests_have_one_name():
    """Pytest imports them by it: of two, the whole suite ends before its first test."""
    files = (ROOT / "tests").rglob("*.py")
    names = Counter(path.name for path in files if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.xdist_group("named group")
def test_tests_of_a_group_go_to_one_worker(request):
    """Workers tell the group by its name behind the test's; what they share is made once then."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("runs in one process")
    assert request.node.nodeid.endswith("@named group")
