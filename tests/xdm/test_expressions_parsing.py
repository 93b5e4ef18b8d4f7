"""From text to tree and back, attribute paths, and refusals with their place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from expression_printer import print_expression
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.xdm.errors import ExpressionError
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression
from tap_mixpanel_export.xdm.expressions.parser import parse_expression
from tap_mixpanel_export.xdm.expressions.tree import (
    MAX_DEPTH,
    Array,
    Attribute,
    Binary,
    Call,
    Literal,
    Unary,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("data.a.b", ("a", "b")),
        ("a.b", ("a", "b")),
        ("data", ("data",)),
        ("data.data.x", ("data", "x")),
        ("data.$city", ("$city",)),
        ("$city", ("$city",)),
        ("_x.ä1", ("_x", "ä1")),
        (r"data.Plan\.Name", ("Plan.Name",)),
        (r"address.street\.name", ("address", "street.name")),
        (r"data.Plan\ Name", ("Plan Name",)),
        ("${data.Plan Name}", ("Plan Name",)),
        ("${First Name}", ("First Name",)),
        (r"${First\.Name}", ("First.Name",)),
        ("data.${Plan Name}.tier", ("Plan Name", "tier")),
        (r"${a\}b\\c}", (r"a}b\c",)),
        ("${if}", ("if",)),
        ("order", ("order",)),
        ("android.notes", ("android", "notes")),
        ("trueish", ("trueish",)),
    ],
)
def test_reads_attribute_paths(text, path):
    assert parse_expression(text) == Attribute(path)
    assert compile_expression(text).evaluate({path: "found"}.get) == "found"


def test_looks_up_attributes_wherever_they_stand():
    text = r"iif(data.a == 1, ${b c}, 'x') + d.e.upper() + to_string([f, is_set('data.g.h\.i')])"
    event = {("a",): 1, ("b c",): "b", ("d", "e"): "e", ("f",): 2, ("g", "h.i"): 3}
    assert compile_expression(text).evaluate(event.get) == "bE[2,true]"
    assert compile_expression(text).text == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a"', "a"),
        ("'a'", "a"),
        (r"'it\'s'", "it's"),
        (r'"\"\\\n\t\u00e9"', '"\\\n\té'),
        (r'"\d+\."', r"\d+\."),
        (r'"\ud83d\ude00"', "😀"),
        ("12", 12),
        ("12.50", 12.5),
        ("1e3", 1000.0),
        ("12345678901234567890", 12345678901234567890),
        ("true", True),
        ("false", False),
        ("null", None),
    ],
)
def test_reads_literals(text, value):
    tree = parse_expression(text)
    assert repr(tree) == repr(Literal(value))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a or b and c", "a || (b && c)"),
        ("not a eq b", "(!a) == b"),
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a mod b div c", "(a % b) / c"),
        ("a lt b == c ge d", "(a < b) == (c >= d)"),
        ("a le b != c gt d", "(a <= b) != (c > d)"),
        ("a ne b", "a != b"),
        ("-a.round()", "-(a.round())"),
        ("a.b.upper().trim()", "((data.a.b).upper()).trim()"),
        ("\n a\t+ b ", "a+b"),
    ],
)
def test_operators_bind_as_in_jexl(text, same):
    assert parse_expression(text) == parse_expression(same)


@pytest.mark.parametrize(
    ("text", "offset", "reason"),
    [
        ("", None, "empty"),
        ("  ", None, "empty"),
        ("a +", 3, "ends too early"),
        ("upper(a", 7, "ends too early"),
        ("a b", 2, "'b' is not expected here"),
        ("a orb", 2, "'orb' is not expected here"),
        ("1 < 2 < 3", 6, "'<' is not expected here"),
        ("a == b == c", 7, "'==' is not expected here"),
        ("a = b", 2, "write =="),
        ("a & b", 2, "write &&"),
        ("a | b", 2, r"write \|\|"),
        ("a ? b : c", 2, "iif"),
        ("a # b", 2, "'#' has no meaning"),
        ("'abc", 0, "no closing quote"),
        ("1 + ${abc", 5, "no closing brace"),
        ("data.and", 5, "reserved word"),
        ("a.new.b", 2, r"\$\{new\}"),
        ("if", 0, r"\$\{if\}"),
        ("${}", 0, "both sides of each dot"),
        ("${a..b}", 0, "both sides of each dot"),
        ("1 + 1e999", 4, "too large"),
        ("a + uper(b)", 4, r"no function uper; did you mean upper\?"),
        ("UPPER(a)", 0, r"no function UPPER; did you mean upper\?"),
        ("xyzzy(a)", 0, "there is no function xyzzy "),
        ("(a).b", 5, "ends too early"),
        ("1 + uuid()", 4, "another value in each run"),
        ("guid()", 0, "another value in each run"),
        ("now()", 0, "another value in each run"),
        ("timestamp()", 0, "another value in each run"),
        ("random()", 0, "another value in each run"),
        ("ua_os_name(a)", 0, "ua_os_name is not supported here"),
        ("substr(a)", 0, r"substr\(VALUE, START_INDEX, LENGTH\) takes 3 arguments, not 1"),
        ("a.substr(1)", 2, "takes 2 arguments, not 1"),
        ("nullify(a)", 0, "takes no arguments, not 1"),
        ("upper()", 0, "takes 1 argument, not 0"),
        ("min()", 0, "takes 1 or more arguments, not 0"),
        ("date(a, b, c, d)", 0, "takes 1 to 3 arguments, not 4"),
        ("decode(a, b)", 0, "takes 3 or more arguments, not 2"),
        ("a.join(b)", 2, r"join is no method; write join\(SEPARATOR, OBJECTS\)"),
        ("startsWith(a, b)", 0, r"write VALUE.startsWith"),
        ("explode(a, '(')", 11, "regular expression cannot be read"),
        (r"matches_regex(a, '(?=b)')", 17, "regular expression cannot be read"),
        (r"matches_regex(a, '(b)\1')", 17, "regular expression cannot be read"),
        ("matches_regex(a, b)", 17, "REGEX has to be a text in quotes"),
        ("explode(a, concat(',', b))", 11, "REGEX has to be a text in quotes"),
        ("extract_regex(a, b)", 17, "REGEX has to be a text in quotes"),
        ('a + "\\ud800"', 4, "half a character"),
        ("'\\ude00\\ud83d'", 0, "half a character"),
        ("a + " + "9" * 1001, 4, "the number is too large"),
        ("date(a, '" + "d" * 257 + "')", 8, "at most 256 characters"),
        ("date(a, 'yyyy-MM-dd yyyy')", 8, "has a field twice"),
        ("date(a, 'yMdXz')", 8, "has a field twice"),
        ("split(a, '')", 9, "at least one character"),
        ("md5(a, 'UTF-7')", 7, "CHARSET"),
        ("date_part('century', a)", 10, "COMPONENT"),
        ("dformat(a, 'yyyy-bb')", 11, "'b' has no meaning in a date pattern"),
        ("format(a, 'yyyyT')", 10, "'T' has no meaning"),
        ('format(a, "yyyy\'T")', 10, "quote"),
        ("format(a, 'zzzz')", 10, "too long"),
        ("date(a, 'MM-dd')", 8, "lacks the year"),
        ("date(a, 'yyyy-Q')", 8, "written, not read"),
        ("zone_date_to_zone(a, 'Mars/Base')", 21, "no such time zone"),
        ("is_set('a..b')", 7, "both sides of each dot"),
    ],
)
def test_refuses_with_the_place(text, offset, reason):
    with pytest.raises(ExpressionError, match=reason) as caught:
        compile_expression(text)
    assert caught.value.offset == offset
    if offset is not None:
        assert str(caught.value).endswith(f"(at character {offset + 1})")


@pytest.mark.parametrize(
    ("prefix", "suffix"), [("!", ""), ("upper(", ")"), ("[", "]"), ("1+(", ")"), ("1 + ", "")]
)
def test_refuses_what_is_nested_too_deeply(prefix, suffix):
    fits = prefix * (MAX_DEPTH - 1) + "1" + suffix * (MAX_DEPTH - 1)
    compile_expression(fits)
    deeper = prefix * MAX_DEPTH + "1" + suffix * MAX_DEPTH
    with pytest.raises(ExpressionError, match="nested too deeply: 100 levels at most"):
        compile_expression(deeper)


def test_takes_any_number_of_parentheses():
    assert compile_expression("(" * 2000 + "1" + ")" * 2000).evaluate({}.get) == 1


def test_refuses_what_is_too_long():
    compile_expression("a" * 4096)
    with pytest.raises(ExpressionError, match="4097 characters; 4096 are allowed"):
        compile_expression("a" * 4097)


NAMES = st.one_of(
    st.sampled_from(["a", "data", "$city", "if", "Plan Name", "a.b", "a}b", "\\", "1st", "é"]),
    st.text(min_size=1, max_size=5),
)
FUNCTION_NAMES = st.sampled_from(["upper", "concat", "equals", "x"])
LITERALS = st.one_of(
    st.text(max_size=6),
    st.integers(min_value=0),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(abs),
    st.booleans(),
    st.none(),
).map(Literal)
LEAVES = st.one_of(LITERALS, st.lists(NAMES, min_size=1, max_size=3).map(tuple).map(Attribute))
SIGNS = st.sampled_from(["||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"])


def branches(nodes):
    several = st.lists(nodes, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Array, several),
        st.builds(Unary, st.sampled_from("-!"), nodes),
        st.builds(Binary, SIGNS, nodes, nodes),
        st.builds(Call, FUNCTION_NAMES, several, st.one_of(st.none(), nodes)),
    )


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.recursive(LEAVES, branches, max_leaves=12))
def test_printing_and_parsing_gives_the_same_tree(tree):
    text = print_expression(tree)
    parsed = parse_expression(text)
    # Python takes True, 1 and 1.0 for equal: the representation tells them apart.
    assert repr(parsed) == repr(tree)
    assert parsed == tree
    assert print_expression(parsed) == text


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "data",
                ".",
                ",",
                "(",
                ")",
                "[",
                "]",
                "+",
                "-",
                "*",
                "/",
                "%",
                "!",
                "&&",
                "||",
                "==",
                "<",
                "and",
                "not",
                "null",
                "1",
                "2.5",
                "'x'",
                '"',
                "${b",
                "c}",
                "upper",
                "iif",
                "min",
                "date",
                "\\",
                "$",
                "{",
                "}",
                "é",
                "",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_read_or_refused(text):
    try:
        tree = parse_expression(text)
    except ExpressionError as error:
        assert error.offset is None or 0 <= error.offset <= len(text)  # noqa: PT017 - either is right
    else:
        assert parse_expression(print_expression(tree)) == tree


def test_lark_is_imported_at_the_first_expression():
    code = (
        "import sys;"
        "from tap_mixpanel_export.xdm.expressions.compiler import compile_expression as c;"
        "early = 'lark' in sys.modules; c('1'); print(early, 'lark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
