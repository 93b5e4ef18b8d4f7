from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_mixpanel_export import errors
from tap_mixpanel_export.errors import ExportError, SettingsError, printable


def drawn_tree():
    """Parent of each class, as the docstring of the module draws it."""
    parents, branch = {}, []
    for line in errors.__doc__.splitlines():
        match = re.fullmatch(r"    ((?:[│ ]   )*)(?:[├└]── )?(\w+Error) +\S.*", line)
        if match is None:
            continue
        depth = len(match[1]) // 4 + ("──" in line)
        branch[depth:] = [match[2]]
        parents[match[2]] = branch[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_of_the_docstring_is_that_of_the_classes():
    classes = {
        name: parent.__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        for parent in kind.__bases__
        if issubclass(kind, Exception)
    }
    assert drawn_tree() == classes


def test_every_error_is_one_of_ours_and_says_what_it_is():
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(kind, ExportError)
        assert kind.__doc__


def test_settings_are_refused_with_all_problems():
    error = SettingsError(["a is wrong", "b is wrong"])
    assert error.problems == ["a is wrong", "b is wrong"]
    assert str(error) == "Settings refused:\n  - a is wrong\n  - b is wrong"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Søk 1", "Søk 1"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("no\xa0break", "no\\xa0break"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "…"),
        ("\0" * 10**6, "\\x00" * 4 + "\\x0…"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text, shown):
    assert printable(text, 20) == shown


@given(st.text(st.characters()), st.integers(1, 30))
def test_a_printable_text_is_one_bounded_line_of_visible_characters(text, limit):
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    shown.encode()
