from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from json_texts import values

from tap_mixpanel_export.records.converters import value_maker
from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

LONG = 9007199254740991
REFUSED = None
MANY_DIGITS = "1" * 5000

CASES = {
    XdmType.STRING: {
        '"text"': '"text"',
        '""': '""',
        '"a\\/b \\ud800"': '"a\\/b \\ud800"',
        "12.50": '"12.50"',
        "1e5": '"1e5"',
        "-0.0": '"-0.0"',
        "1e400": '"1e400"',
        "12345678901234567890": '"12345678901234567890"',
        MANY_DIGITS: f'"{MANY_DIGITS}"',
        "true": '"true"',
        "false": '"false"',
        '["a",1.0,null]': '"[\\"a\\",1.0,null]"',
        '{"a": 1}': '"{\\"a\\": 1}"',
        "[]": '"[]"',
        '["\\ud800"]': '"[\\"\\\\ud800\\"]"',
    },
    XdmType.LONG: {
        "0": "0",
        "-7": "-7",
        str(LONG): str(LONG),
        str(-LONG): str(-LONG),
        str(LONG + 1): REFUSED,
        str(-LONG - 1): REFUSED,
        MANY_DIGITS: REFUSED,
        f'"{MANY_DIGITS}"': REFUSED,
        "1.0": "1",
        "1e3": "1000",
        "1.5": REFUSED,
        "1e400": REFUSED,
        "-1e400": REFUSED,
        '"12"': "12",
        '"-12"': "-12",
        '"007"': "7",
        '"+12"': REFUSED,
        '" 12"': REFUSED,
        '"12\\n"': REFUSED,
        '"1_2"': REFUSED,
        '"1.0"': REFUSED,
        '"١٢"': REFUSED,
        '""': REFUSED,
        f'"{LONG + 1}"': REFUSED,
        "true": REFUSED,
        "[1]": REFUSED,
        '{"a":1}': REFUSED,
    },
    XdmType.BOOLEAN: {
        "true": "true",
        "false": "false",
        **{f'"{word}"': "true" for word in ("y", "yes", "on", "true", "Yes", "TRUE")},
        **{f'"{word}"': "false" for word in ("n", "no", "off", "false", "No", "OFF")},
        '"1"': REFUSED,
        '"maybe"': REFUSED,
        '""': REFUSED,
        '"yes "': REFUSED,
        "1": REFUSED,
        "0": REFUSED,
        "[]": REFUSED,
    },
    XdmType.NUMBER: {
        "1.50": "1.50",
        "-0.0": "-0.0",
        # XDM's numbers are doubles.
        "1e400": REFUSED,
        "12345678901234567890": "12345678901234567890",
        '"1.5"': "1.5",
        '"one"': REFUSED,
        "true": REFUSED,
    },
    XdmType.SHORT: {"32767": "32767", "-32768": "-32768", "32768": REFUSED},
    XdmType.BYTE: {"127": "127", "-128": "-128", "128": REFUSED, "-129": REFUSED},
    XdmType.INTEGER: {"2147483647": "2147483647", "2147483648": REFUSED},
    XdmType.DATE: {'"2024-02-29"': '"2024-02-29"', '"2023-02-29"': REFUSED, "1": REFUSED},
    XdmType.DATE_TIME: {
        '"2024-02-29T10:00:00Z"': '"2024-02-29T10:00:00Z"',
        '"2024-02-29T10:00:00"': '"2024-02-29T10:00:00Z"',
        '"noon"': REFUSED,
    },
}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (kind, text, cell)
        for kind, expected_by_text in CASES.items()
        for text, cell in expected_by_text.items()
    ],
    ids=lambda value: str(getattr(value, "value", value))[:30],
)
def test_a_value_is_converted_when_nothing_is_lost_and_refused_otherwise(kind, text, expected):
    make = value_maker(XdmField(kind), ())
    if expected is REFUSED:
        with pytest.raises(ConversionError) as caught:
            make(text.encode())
        assert text.strip('"') == "" or text.strip('"') not in str(caught.value)
    else:
        assert make(text.encode()) == expected.encode()


@pytest.mark.slow
@given(values)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_a_cell_is_json_of_its_type_or_refused(text):
    for kind, accepted in (
        (XdmType.STRING, str),
        (XdmType.LONG, int),
        (XdmType.BOOLEAN, bool),
        (XdmType.NUMBER, (int, Decimal)),
    ):
        if text == "null":
            continue  # an absent value, not a cell
        try:
            cell = value_maker(XdmField(kind), ())(text.encode())
        except ConversionError:
            continue
        value = json.loads(cell, parse_float=Decimal)
        assert isinstance(value, accepted)
        if kind is XdmType.LONG:
            assert type(value) is int
            assert -LONG <= value <= LONG
        if not text.startswith(("[", "{")) and kind is XdmType.STRING:
            assert value == (json.loads(text) if text.startswith('"') else text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"total":{"net":12.50}}', b"12.50"),
        ('{ "total" : {"net": 1, "net" :\t2 } }', b"2"),
        ('{"total":{"net":null}}', b"null"),
        ('{"total":{}}', b"null"),
        ('{"total":5}', b"null"),
        ('{"total":[{"net":1}]}', b"null"),
        ('"total"', b"null"),
        ("null", b"null"),
    ],
)
def test_a_path_leads_into_nested_objects(text, expected):
    make = value_maker(XdmField(XdmType.NUMBER), ("total", "net"))
    assert make(text.encode()) == expected


def test_a_nested_value_that_does_not_fit_is_refused():
    make = value_maker(XdmField(XdmType.NUMBER), ("total",))
    with pytest.raises(ConversionError):
        make(b'{"total":"much"}')


def test_what_the_field_asks_for_besides_its_type_counts():
    plan = value_maker(XdmField(XdmType.STRING, enum=("gold", "silver")), ())
    assert plan(b'"gold"') == b'"gold"'
    with pytest.raises(ConversionError):
        plan(b'"bronze"')
    score = value_maker(XdmField(XdmType.INTEGER, minimum=1, maximum=10), ())
    assert score(b"10") == b"10"
    with pytest.raises(ConversionError):
        score(b"11")
    code = value_maker(XdmField(XdmType.STRING, max_length=2), ())
    assert code(b'"ab"') == b'"ab"'
    with pytest.raises(ConversionError):
        code(b'"abc"')
