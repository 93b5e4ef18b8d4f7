from __future__ import annotations

import json
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.sandbox.where import WhereError, compile_where

PROPERTIES = {
    "time": 1704067200,
    "n": 5,
    "f": 5.0,
    "big": 1652850348702,
    "s": "abc",
    "t": True,
    "null": None,
    "list": [1, "two"],
    "day": "2024-01-01T00:00:00",
    "My Prop.x": 1,
    "digits": "1652850348702",
    "fraction": "1.50",
    "power": "1e3",
}


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ('properties["n"] == 5', True),
        ('properties["n"] == 5.0', True),
        ('properties["f"] == 5e0', True),
        ('properties["n"] == "5"', False),
        ('properties["n"] != "5"', True),
        ('properties["t"] == true', True),
        ('properties["t"] == 1', False),
        ('properties["t"] >= false', False),
        ('properties["big"] >= 1652850348702', True),
        ('properties["big"] > 1652850348702', False),
        ('5 < properties["big"]', True),
        ('properties["s"] < "abd"', True),
        ('properties["s"] < 7', False),
        ('properties["My Prop.x"] == 1', True),
        ('properties["n"] == properties["f"]', True),
        ('properties["n"] in [1, 5]', True),
        ('properties["n"] in ["5"]', False),
        ('properties["n"] in []', False),
        ('"b" in properties["s"]', True),
        ('"x" in properties["s"]', False),
        ('"two" in properties["list"]', True),
        ('"tw" in properties["list"]', False),
        ('"5" in properties["n"]', False),
        # What an event lacks compares with nothing, not even as different.
        ('properties["no"] == 1', False),
        ('properties["no"] != 1', False),
        ('properties["no"] < 1', False),
        ('properties["null"] != 1', False),
        ('"x" in properties["no"]', False),
        ('properties["no"] in [1]', False),
        ('not properties["no"] == 1', True),
        ('defined(properties["no"])', False),
        ('defined(properties["null"])', False),
        ('not defined(properties["no"])', True),
        ('properties["no"] > 3 or not defined(properties["no"])', True),
        # `not` binds tighter than `and`, `and` tighter than `or`.
        ('properties["n"] == 5 or properties["n"] == 5 and properties["n"] == 6', True),
        ('(properties["n"] == 5 or properties["n"] == 5) and properties["n"] == 6', False),
        ('not properties["n"] == 6 and properties["n"] == 6', False),
        ('event["$time"] >= datetime("2024-01-01T00:00:00")', True),
        ('event["$time"] < datetime("2024-01-01T00:00:00")', False),
        ('properties["day"] == datetime("2024-01-01T00:00:00")', True),
        ('properties["s"] == datetime("2024-01-01T00:00:00")', False),
        ('properties["n"] < datetime("2024-01-01T00:00:00")', False),
        ('"\\u0061bc"==properties["s"]', True),
        # Casts, as the service's own page has them.
        ('number(properties["digits"]) > 1652850348701', True),
        ('number(properties["digits"]) > 1652850348702', False),
        ('number(properties["fraction"]) == 1.5', True),
        ('number(properties["n"]) == 5', True),
        ('number(properties["t"]) == 1', True),
        ('number(properties["s"]) > 0', False),
        ('not number(properties["s"]) > 0', True),
        ('number(properties["power"]) > 0', False),
        ('number(properties["no"]) > 0', False),
        ('number(properties["null"]) > 0', False),
        ('number(properties["list"]) > 0', False),
        ('string(properties["n"]) == "5"', True),
        ('string(properties["f"]) == "5.0"', True),
        ('string(properties["t"]) == "true"', True),
        ('string(properties["s"]) == "abc"', True),
        ('string(properties["no"]) == ""', False),
        ('string(properties["null"]) == ""', False),
        ('string(properties["list"]) == "[1, \\"two\\"]"', False),
        ('boolean(properties["t"])', True),
        ('boolean(properties["n"]) == true', True),
        ('boolean(properties["s"])', True),
        ('boolean("false")', False),
        ('boolean("")', False),
        ("boolean(0)", False),
        ("not boolean(0.0)", True),
        ('boolean(properties["no"])', False),
        ('boolean(properties["null"]) == false', True),
        ('number(string(properties["big"])) == 1652850348702', True),
        ('number(boolean(properties["s"])) == 1', True),
        ('boolean(number(properties["s"]))', False),
        (
            'number(properties["big"]) > 1652850348701 or not defined(properties["big"])',
            True,
        ),
    ],
)
def test_expression(expression, passes):
    assert compile_where(expression)(PROPERTIES) is passes


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "a",
        "true",
        'properties["n"]',
        'not properties["n"]',
        'properties["n"] = 5',
        'properties["n"] === 5',
        'properties["n"] == 5 AND true == true',
        'properties["n"] == 5 && true == true',
        'properties["n"] == 5 or',
        'properties["n"] == 05',
        'properties["n"] == 1 == 1',
        'properties["n"] == null',
        'properties["n"] + 1 == 6',
        'properties["n"] in [1,]',
        'properties["n"] in 1',
        'properties["n"] not in [1]',
        "properties['n'] == 5",
        "properties[n] == 5",
        'properties["n"]["m"] == 5',
        'user["n"] == 5',
        'event["$name"] == "x"',
        'event["n"] == 5',
        'defined("n")',
        'number(properties["n"])',
        'string(properties["s"])',
        'number(properties["n"] == 5)',
        "number()",
        'Number(properties["n"]) == 5',
        'float(properties["n"]) == 5',
        "defined(5)",
        "nottrue == true",
        'notdefined(properties["n"])',
        'datetime("2024-01-01") < event["$time"]',
        'datetime(2024) < event["$time"]',
        '"\\q" == properties["s"]',
        '"open == properties["s"]',
        'properties["n"] == 5; drop',
        '(properties["n"] == 5',
    ],
)
def test_anything_else_is_refused(expression):
    with pytest.raises(WhereError):
        compile_where(expression)


def test_a_mistake_is_named_by_its_column():
    with pytest.raises(WhereError, match="at column 17"):
        compile_where('properties["n"] = 5')
    with pytest.raises(WhereError, match="at column 16"):
        compile_where('properties["n"]')


def test_long_expressions_are_no_trouble_and_deep_ones_an_error():
    long = " or ".join(['properties["n"] == 1'] * 3000 + ['properties["n"] == 5'])
    assert compile_where(long)(PROPERTIES)
    deep = "(" * 5000 + 'properties["n"] == 5' + ")" * 5000
    with pytest.raises(WhereError, match="deep"):
        compile_where("not " * 5000 + deep)


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@settings(max_examples=100)
@given(st.sampled_from(sorted(SIGNS)), NUMBERS | st.text(), NUMBERS | st.text(), st.text())
def test_values_of_one_type_compare_as_python_does(sign, left, right, name):
    expression = f"properties[{json.dumps(name)}] {sign} {json.dumps(right)}"
    same_type = isinstance(left, str) == isinstance(right, str)
    holds = SIGNS[sign](left, right) if same_type else sign == "!="
    assert compile_where(expression)({name: left}) is holds


@st.composite
def trees(draw, depth=4):
    """Return an expression and what it must give."""
    kind = draw(st.sampled_from(["leaf", "not", "and", "or"])) if depth else "leaf"
    if kind == "leaf":
        value = draw(st.booleans())
        return f'properties["n"] {"==" if value else "!="} 5', value
    left, left_value = draw(trees(depth=depth - 1))
    if kind == "not":
        return f"not ({left})", not left_value
    right, right_value = draw(trees(depth=depth - 1))
    value = (left_value and right_value) if kind == "and" else (left_value or right_value)
    return f"({left}) {kind} ({right})", value


@settings(max_examples=50)
@given(trees())
def test_logic_is_logic(tree):
    expression, value = tree
    assert compile_where(expression)(PROPERTIES) is value
