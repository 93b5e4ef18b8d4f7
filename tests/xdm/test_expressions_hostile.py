"""No value of an event holds an expression for ever, fills the memory, or ends the mapper."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.xdm.errors import EvaluationError
from tap_mixpanel_export.xdm.expressions.bounds import MAX_CHARACTERS, MAX_ITEMS
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression
from tap_mixpanel_export.xdm.expressions.functions import FUNCTIONS
from tap_mixpanel_export.xdm.regular_expressions import compiled

NAMES = "abcd"
LONGEST = "x" * MAX_CHARACTERS
BOMBS = [
    "%999999999d",
    "{:>999999999}",
    "d" * 256,
    "yyyy'" + "x" * 200,
    "dMHhmsS" * 20 + "y",
    "(x+x+)+y",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "Z" * 300,
    "America",
    "9" * 5000,
    "1e999999999",
    "\\" * 4000,
    "\x00\x1b]0;title\x07",
    "\U0001f600" * 500,
    LONGEST,
    LONGEST + "x",
    "x," * (MAX_CHARACTERS // 2),
    10**999,
    10**5000,
    -(10**5000),
    2**63,
    1e308,
    -5e-324,
    0,
    -1,
    True,
    None,
    ["x" * 1000] * 1000,
    [1] * (MAX_ITEMS + 1),
    [[[[[["x"]]]]]],
    {"x" * 1000: {"y": [10**5000]}},
]
HOSTILE = st.one_of(
    st.sampled_from(BOMBS),
    st.text(max_size=20),
    st.integers(),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=3), max_size=3),
)
LITERALS = ["','", "'(x+x+)+y'", "'x.*y|x'", "''", r"'(\\p{L}{1,64})+$'", "'((((x?)*)*)*)y'"]


@st.composite
def calls(draw):
    """An expression that calls a function of the registry, with attributes for arguments."""
    function = FUNCTIONS[draw(st.sampled_from(sorted(FUNCTIONS)))]
    most = len(NAMES) if function.maximum is None else min(len(NAMES), function.maximum)
    count = draw(st.integers(min(function.minimum, most), most))
    arguments = [
        draw(st.sampled_from(LITERALS)) if position in function.literals else f"data.{name}"
        for position, name in enumerate(NAMES[:count])
    ]
    if function.method_only:
        return f"{arguments[0]}.{function.name}({', '.join(arguments[1:])})"
    return f"{function.name}({', '.join(arguments)})"


def check_outcome(text, event):
    try:
        result = compile_expression(text).evaluate(event.get)
    except EvaluationError as error:
        assert len(str(error)) < 300  # noqa: PT017 - either outcome is right
        assert "xxx" not in str(error)  # noqa: PT017 - the same
        return
    # JSON escapes make at most six characters of one.
    assert len(json.dumps(result)) <= 6 * MAX_CHARACTERS + 2


@given(calls(), st.tuples(*[HOSTILE] * len(NAMES)))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_function_takes_or_refuses_hostile_values(text, values):
    check_outcome(text, {(name,): value for name, value in zip(NAMES, values, strict=True)})


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.slow
def test_every_function_takes_or_refuses_each_bomb_in_each_place(name):
    function = FUNCTIONS[name]
    count = min(3, function.maximum if function.maximum is not None else 3)
    count = max(count, function.minimum)
    for literal in LITERALS[:4] if function.literals else [""]:
        arguments = [
            literal if place in function.literals else f"data.{NAMES[place]}"
            for place in range(count)
        ]
        call = f"{name}({', '.join(arguments)})"
        if function.method_only:
            call = f"{arguments[0]}.{name}({', '.join(arguments[1:])})"
        for place in range(count):
            for bomb in BOMBS:
                event = dict.fromkeys([(other,) for other in NAMES], "x")
                check_outcome(call, {**event, (NAMES[place],): bomb})


def nested(inner, call, times):
    for _ in range(times):
        inner = call.format(inner)
    return inner


@pytest.mark.parametrize(
    "text",
    [
        nested("data.text", "replacestr({}, 'x', '" + "x" * 100 + "')", 30),
        nested("'x'", "join(concat({0}, data.text), data.list)", 10),
        nested(r"'\\'", "to_string([{}])", 45),
        nested("data.text", "concat({0}, {0})", 5) + " + data.long",
        nested("data.number", "({0} * {0})", 5) + " * data.number",
        f"[{', '.join(['data.long'] * 300)}]",
        f"concat({', '.join(['data.long'] * 300)})",
        "explode(data.commas)",
        "split(data.commas, ',')",
        "explode(data.xs, 'x.*y|x')",
        "data.number * 1",
        "data.infinite",
        "[data.infinite]",
        "to_string(data.number)",
        "dformat(data.number, 'yyyy')",
    ],
)
def test_bombs_are_refused_before_they_are_made(text):
    event = {
        ("text",): "xx",
        ("list",): ["x"] * 1000,
        ("long",): "x" * 10_000,
        ("number",): 10**600 if "{0} * {0}" in text or text.startswith("((((") else 10**5000,
        ("commas",): "x," * 20_000,
        ("xs",): "x" * 60_000,
        ("infinite",): float("inf"),
    }
    if text.endswith("data.long"):
        event[("long",)] = LONGEST
    with pytest.raises(EvaluationError):
        compile_expression(text).evaluate(event.get)


def test_what_is_large_but_within_bounds_is_computed():
    event = {("a",): "x," * (MAX_ITEMS - 1), ("n",): 10**500}
    for text, expected in [
        ("size(explode(a))", MAX_ITEMS - 1),
        ("size(split(a, ','))", MAX_ITEMS - 1),
        ("size(replacestr(a, 'x', 'xx'))", 3 * (MAX_ITEMS - 1)),
        ("n * 10", 10**501),
        ("n == '1" + "0" * 500 + "'", True),
    ]:
        assert compile_expression(text).evaluate(event.get) == expected


@pytest.mark.parametrize("half", [chr(0xD800), chr(0xDC00)])
def test_a_pattern_takes_half_a_character_for_one(half):
    """RE2 reads UTF-8, which has no such thing."""
    pattern = compiled("a.b")
    text = f"a{half}b"
    assert pattern.fullmatch(text)
    assert pattern.search(f"x{text}")
    assert len(list(pattern.finditer(f"{text} {text}"))) == 2
