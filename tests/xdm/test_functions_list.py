from __future__ import annotations

import re

import pytest

from docs import functions
from tap_mixpanel_export.xdm.errors import ExpressionError
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression
from tap_mixpanel_export.xdm.expressions.functions import FUNCTIONS


def test_the_list_names_the_functions_that_there_are():
    told = set(re.findall(r"`(?:\w+\.)?(\w+)\([^`]*\)`", functions.functions_table()))
    assert told == FUNCTIONS.keys()


@pytest.mark.parametrize("call", re.findall(r"`([^`]+)`", functions.functions_table()))
def test_each_is_called_as_listed(call):
    name = call.split("(")[0].split(".")[-1]
    arguments = re.sub(r"\b[A-Z][A-Z_0-9]*…?", "a", call)
    try:
        compile_expression(arguments)
    except ExpressionError as error:
        # The one kind of argument that has to be a text.
        assert "has to be a text in quotes" in str(error), name  # noqa: PT017 - either outcome is right
