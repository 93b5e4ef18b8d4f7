from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression
from tap_mixpanel_export.xdm.schema.convert import converter
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType

STRING = XdmField(XdmType.STRING)


def convert(field: XdmField, text: str) -> object:
    return converter(field)(json.loads(text), lambda: text)


def refused(field: XdmField, text: str) -> None:
    with pytest.raises(ConversionError):
        convert(field, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"x"', "x"),
        ('""', ""),
        ("12.50", "12.50"),
        ("1E5", "1E5"),
        ("12345678901234567890", "12345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ('{"a": 1.0}', '{"a": 1.0}'),
        ("[1, 2]", "[1, 2]"),
        ("null", None),
    ],
)
def test_everything_becomes_text_as_exported(text, expected):
    assert convert(STRING, text) == expected


@pytest.mark.parametrize("xdm_type", list(INTEGER_BOUNDS))
def test_integers_are_bounded(xdm_type):
    field = XdmField(xdm_type)
    for bound in INTEGER_BOUNDS[xdm_type]:
        assert convert(field, str(bound)) == bound
        assert convert(field, f'"{bound}"') == bound
    least, greatest = INTEGER_BOUNDS[xdm_type]
    for beyond in (least - 1, greatest + 1):
        refused(field, str(beyond))
        refused(field, f'"{beyond}"')


@pytest.mark.parametrize(
    ("text", "expected"), [("12.0", 12), ("1e3", 1000), ('"007"', 7), ('"-0"', 0), ("null", None)]
)
def test_what_is_an_integer_becomes_one(text, expected):
    value = convert(XdmField(XdmType.LONG), text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["12.5", "1e300", "1e400", "true", '"12.0"', '" 1"', '"+1"', '"1_0"', '"٣"', '""', "[]", "{}"],
)
def test_what_is_no_integer_is_refused(text):
    refused(XdmField(XdmType.LONG), text)


def test_a_text_of_ten_thousand_digits_is_refused_and_no_crash():
    refused(XdmField(XdmType.LONG), '"' + "9" * 10_000 + '"')
    refused(XdmField(XdmType.NUMBER), '"' + "9" * 10_000 + '"')


def test_decimals_of_the_sdk_are_numbers():
    long = converter(XdmField(XdmType.LONG))
    assert long(Decimal("12.00"), str) == 12
    with pytest.raises(ConversionError):
        long(Decimal("1E+400"), str)
    number = converter(XdmField(XdmType.NUMBER))
    assert number(Decimal("0.10"), str) == Decimal("0.10")
    with pytest.raises(ConversionError):
        number(Decimal("1E+400"), str)
    assert converter(STRING)(Decimal("1.10"), lambda: "1.10") == "1.10"


@settings(max_examples=60, deadline=None)
@given(st.integers())
def test_text_and_number_agree_on_what_fits(number):
    field = XdmField(XdmType.LONG)
    fits = INTEGER_BOUNDS[XdmType.LONG][0] <= number <= INTEGER_BOUNDS[XdmType.LONG][1]
    for text in (str(number), f'"{number}"'):
        if fits:
            assert convert(field, text) == number
        else:
            refused(field, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("1.5", 1.5), ('"1.5"', 1.5), ('"-2e3"', -2000.0), ('"12"', 12)],
)
def test_numbers(text, expected):
    assert convert(XdmField(XdmType.NUMBER), text) == expected


@pytest.mark.parametrize(
    "text",
    ["true", '"1,5"', '".5"', '"01"', '"1e400"', '"0.1000000000000000000001"', '"NaN"', "[]"],
)
def test_no_numbers(text):
    refused(XdmField(XdmType.NUMBER), text)


def test_numbers_keep_the_bounds_of_the_field():
    field = XdmField(XdmType.NUMBER, minimum=0, maximum=1)
    assert convert(field, "0.5") == 0.5
    refused(field, "1.5")
    refused(field, '"-1"')


# Data Prep, Handling data formats, section Booleans.
BOOLEAN_WORDS = {
    **dict.fromkeys(["y", "yes", "Y", "YES", "on", "ON", "true", "TRUE"], True),
    **dict.fromkeys(["n", "N", "no", "NO", "off", "OFF", "false", "FALSE"], False),
    "Yes": True,
    "oFF": False,
}


@pytest.mark.parametrize(("word", "expected"), BOOLEAN_WORDS.items())
def test_booleans_of_adobes_lists(word, expected):
    assert convert(XdmField(XdmType.BOOLEAN), json.dumps(word)) is expected
    assert convert(XdmField(XdmType.BOOLEAN), json.dumps(word.upper())) is expected
    # The one reading of expressions, too.
    for text in ("to_bool(a)", "a && true", "iif(a, true, false)"):
        assert compile_expression(text).evaluate({("a",): word}.get) is expected


@pytest.mark.parametrize(
    ("bounds", "taken", "refused"),
    [
        ({"minimum": 1.5}, ["2"], ["1", "1.5", '"1"']),
        ({"maximum": 1.5}, ["1", "-2"], ["2", '"2"']),
        ({"minimum": -1.5, "maximum": -0.5}, ["-1"], ["0", "-2"]),
        ({"minimum": -1e300, "maximum": 1e300}, ["5"], ["9007199254740992"]),
    ],
)
def test_bounds_with_fractions_are_those_of_whole_numbers(bounds, taken, refused):
    field = XdmField(XdmType.LONG, **bounds)
    for text in taken:
        assert convert(field, text) == int(text)
    for text in refused:
        with pytest.raises(ConversionError):
            convert(field, text)


# The formats that Data Prep reads by itself (Handling data formats, section Date function
# conversions), in its order, with what each is a spelling of.
DATE_FORMATS = [
    ("2022-05-16 18:20:01+0200", "2022-05-16T18:20:01+02:00"),
    ("2022-05-16 18:20:01.250-0800", "2022-05-16T18:20:01.250-08:00"),
    ("2022-05-16 18:20:01.250", "2022-05-16T18:20:01.250Z"),
    ("2022-05-16T18:20:01.250Z", "2022-05-16T18:20:01.250Z"),
    ("2022-05-16T18:20:01Z", "2022-05-16T18:20:01Z"),
    ("2022-05-16", "2022-05-16T00:00:00Z"),
    ("2022/05/16", "2022-05-16T00:00:00Z"),
    ("2022.05.16", "2022-05-16T00:00:00Z"),
    ("2022-May-16", "2022-05-16T00:00:00Z"),
    ("20220516", "2022-05-16T00:00:00Z"),
    ("05-16-2022", "2022-05-16T00:00:00Z"),
    ("05162022", "2022-05-16T00:00:00Z"),
    ("5/16/2022", "2022-05-16T00:00:00Z"),
    ("16.5.2022", "2022-05-16T00:00:00Z"),
    ("5/16/2022 06:20:01 PM", "2022-05-16T18:20:01Z"),
    ("16.5.2022 06:20:01 PM", "2022-05-16T18:20:01Z"),
    ("16.May.2022", "2022-05-16T00:00:00Z"),
    ("16-May-2022", "2022-05-16T00:00:00Z"),
]


@pytest.mark.parametrize(("text", "expected"), DATE_FORMATS)
def test_dates_that_data_prep_reads_by_itself(text, expected):
    assert len(DATE_FORMATS) == 18
    assert convert(XdmField(XdmType.DATE_TIME), json.dumps(text)) == expected
    if expected.endswith("T00:00:00Z"):
        assert convert(XdmField(XdmType.DATE), json.dumps(text)) == "2022-05-16"
    else:
        # A time of day would be lost.
        with pytest.raises(ConversionError):
            convert(XdmField(XdmType.DATE), json.dumps(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Its own example: taken for MMddyyyy, whatever was meant.
        ("12112020", "2020-12-11T00:00:00Z"),
        # yyyyMMdd comes before MMddyyyy.
        ("10111011", "1011-10-11T00:00:00Z"),
        ("2024-05-05 20:39:00.005 PST", "2024-05-05T20:39:00.005-08:00"),
        ("2024-05-05T20:39:00.123456789Z", "2024-05-05T20:39:00.123456789Z"),
        ("1880-01-01 00:00:00 Europe/Amsterdam", "1879-12-31T23:40:28Z"),
    ],
)
def test_the_first_format_that_fits_counts(text, expected):
    assert convert(XdmField(XdmType.DATE_TIME), json.dumps(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["5/6/2022", "13/13/2022", "2022-13-01", "99999999", "2022", "May 2022", "x" * 10_000, "1e9"],
)
def test_other_dates_are_refused(text):
    for xdm_type in (XdmType.DATE, XdmType.DATE_TIME):
        with pytest.raises(ConversionError):
            convert(XdmField(xdm_type), json.dumps(text))


@pytest.mark.parametrize("text", ["1", "0", '"1"', '"t"', '""', "[]", '"ja"'])
def test_no_booleans(text):
    refused(XdmField(XdmType.BOOLEAN), text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2022-05-16T18:20:00Z", "2022-05-16T18:20:00Z"),
        ("2022-05-16T18:20:00", "2022-05-16T18:20:00Z"),
        ("2022-05-16T18:20:00.123456789", "2022-05-16T18:20:00.123456789Z"),
        ("2022-05-16 18:20", "2022-05-16T18:20:00Z"),
        ("2022-05-16", "2022-05-16T00:00:00Z"),
        ("2022-05-16T18:20:00+0200", "2022-05-16T18:20:00+02:00"),
        ("2022-05-16t18:20:00z", "2022-05-16T18:20:00Z"),
    ],
)
def test_date_times(value, expected):
    field = XdmField(XdmType.DATE_TIME)
    assert convert(field, json.dumps(value)) == expected
    checker = FormatChecker(["date-time"])
    assert Draft202012Validator(field.json_schema(), format_checker=checker).is_valid(expected)


@pytest.mark.parametrize(
    "text",
    ['"2022-02-30"', '"0000-01-01"', '"2022-05-16T25:00:00Z"', "1652700000", '"today"', "true"],
)
def test_no_date_times(text):
    refused(XdmField(XdmType.DATE_TIME), text)


def test_dates():
    field = XdmField(XdmType.DATE)
    assert convert(field, '"2022-05-16"') == "2022-05-16"
    assert convert(field, '"2022-05-16T00:00:00"') == "2022-05-16"
    for text in ('"2022-05-16T10:00:00"', '"2022-05-16T00:00:00+02:00"', '"2022-13-01"', "5"):
        refused(field, text)


@pytest.mark.parametrize("value", ["https://example.com/a?b=c#d", "urn:isbn:1", "http://[::1]:80/"])
def test_uris(value):
    assert convert(XdmField(XdmType.URI), json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ['"example.com"', '"http://a b"', '"http://ü"', "5", '"http://[x"']
)
def test_no_uris(text):
    refused(XdmField(XdmType.URI), text)


def test_enum_pattern_and_length_are_checked():
    plan = XdmField(XdmType.STRING, enum=("free", "paid"))
    assert plan.label == "Enum"
    assert convert(plan, '"free"') == "free"
    refused(plan, '"gold"')
    refused(XdmField(XdmType.STRING, pattern="^a"), '"b"')
    refused(XdmField(XdmType.STRING, max_length=2), "123")
    assert convert(XdmField(XdmType.STRING, min_length=2), "12") == "12"


def test_lengths_and_patterns_bind_texts_only():
    # JSON Schema has them for strings; a field group may write them at any type.
    narrow = {"min_length": 3, "max_length": 2, "pattern": "^x"}
    assert convert(XdmField(XdmType.LONG, **narrow), '"5"') == 5
    assert convert(XdmField(XdmType.ARRAY, items=STRING, **narrow), '["a"]') == ["a"]
    assert convert(XdmField(XdmType.BOOLEAN, **narrow), "true") is True


def test_arrays_convert_their_items_with_the_text_as_exported():
    field = XdmField(XdmType.ARRAY, items=STRING)
    assert convert(field, '["a", 1.50, {"x": 1.0}, null]') == ["a", "1.50", '{"x": 1.0}', None]
    refused(XdmField(XdmType.ARRAY, items=XdmField(XdmType.LONG)), "[1, 2.5]")
    refused(field, '"a"')


def test_objects_and_maps_convert_their_members():
    cart = XdmField(XdmType.OBJECT, properties={"total": STRING, "count": XdmField(XdmType.LONG)})
    assert convert(cart, '{"total": 9.90, "count": "3"}') == {"total": "9.90", "count": 3}
    refused(cart, '{"total": 1, "more": 2}')
    refused(cart, "[]")
    prices = XdmField(XdmType.MAP, items=STRING)
    assert convert(prices, '{"a": 1.0}') == {"a": "1.0"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others
    | st.text(max_size=12)
    | st.sampled_from([*BOOLEAN_WORDS, "12", "-1.5", "2022-05-16", "2022-05-16T10:00:00"]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), children, max_size=2)
    ),
    max_leaves=5,
)
FIELDS = [
    *(XdmField(xdm_type) for xdm_type in XdmType if xdm_type is not XdmType.OBJECT),
    XdmField(XdmType.OBJECT, properties={"a": XdmField(XdmType.BYTE), "b": STRING}),
    XdmField(XdmType.ARRAY, items=XdmField(XdmType.BOOLEAN)),
    XdmField(XdmType.STRING, enum=("12", "true")),
]


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(st.sampled_from(FIELDS), json_values)
def test_what_comes_out_is_of_the_fields_type_or_refused(field, value):
    text = json.dumps(value)
    try:
        converted = converter(field)(value, lambda: text)
    except ConversionError:
        return
    validator = Draft202012Validator(
        field.json_schema(nullable=True), format_checker=FormatChecker()
    )
    validator.validate(converted)
    assert converter(field)(converted, lambda: json.dumps(converted)) == converted
