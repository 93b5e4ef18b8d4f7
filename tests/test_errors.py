from __future__ import annotations

import inspect
import re

from tap_mixpanel_export import errors
from tap_mixpanel_export.errors import (
    ExportError,
    RateLimitedError,
    SettingsError,
    TransientError,
)


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


def test_whether_to_try_again_is_a_property_of_the_class():
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    for kind in classes:
        assert kind.retry is issubclass(kind, (TransientError, RateLimitedError))
        assert issubclass(kind, ExportError)
        assert kind.__doc__


def test_settings_are_refused_with_all_problems():
    error = SettingsError(["a is wrong", "b is wrong"])
    assert error.problems == ["a is wrong", "b is wrong"]
    assert str(error) == "Settings refused:\n  - a is wrong\n  - b is wrong"
