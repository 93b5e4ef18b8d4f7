from __future__ import annotations

import pytest
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.mapper import CustomStreamMap

from tap_mixpanel_export.bounded_maps import MAX_CHARACTERS, bound_expressions
from tap_mixpanel_export.tap import TapMixpanelExport

RECORD = {
    "name": "Ann",
    "size": 999_999_999,
    "digits": "9" * 5000,
    "format": "%999999999d",
    "long": "x" * MAX_CHARACTERS,
    "number": 4_000_000,
}


def evaluated(expression, *, bounded=True):
    schema = {"type": "object", "properties": {name: {} for name in RECORD}}
    stream_map = CustomStreamMap(
        "events", {}, {}, schema, None, {"made": expression}, None, stream_name="events"
    )
    if bounded:
        bound_expressions(stream_map.expr_evaluator)
    return stream_map.transform(dict(RECORD))["made"]


@pytest.mark.parametrize(
    "expression",
    [
        "f'{name:>{size}}'",
        "f'{name:>999999999}'",
        "f'{1.5:.999999999f}'",
        "f'{number:>{digits}}'",
        "format % 1",
        "'%*d' % (size, 1)",
        "'%.999999999f' % 1.5",
        "name.ljust(size)",
        "name.rjust(size, ' ')",
        "name.center(size)",
        "name.zfill(size)",
        "'\t'.expandtabs(size)",
        "number.to_bytes(length=size, byteorder='big')",
        "long.replace('x', long)",
        "long.replace('', long)",
        "long.join([name] * 5)",
        "long.join(long)",
        "number ** number",
        "(10 ** 4000) * (10 ** 4000)",
        "2 ** 20000",
    ],
)
def test_no_stream_map_makes_gigabytes_of_an_event(expression):
    with pytest.raises(MapExpressionError):
        evaluated(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "f'{name:>10}'",
        "f'{number:,.2f}'",
        "'%05d' % number",
        "number % 7",
        "name.ljust(5) + '|'",
        "name.replace('n', 'nn').upper()",
        "','.join([name, 'x'])",
        "number ** 2 * 3",
        "2 ** -1",
        "int(datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc).timestamp())",
        "md5(name)",
        "json.dumps([name])",
        "'a\tb'.expandtabs(8)",
        "name.count('n')",
        "name.translate({110: 'm'})",
    ],
)
def test_what_people_write_gives_the_same_with_bounds(expression):
    assert evaluated(expression) == evaluated(expression, bounded=False)


def test_the_taps_maps_are_bounded():
    tap = TapMixpanelExport(
        config={
            "service_account_username": "u",
            "service_account_secret": "s",
            "project_id": 1,
            "stream_maps": {"events": {"wide": "event_name.ljust(999999999)"}},
        }
    )
    (stream_map,) = tap.mapper.stream_maps["events"]
    with pytest.raises(Exception, match=r"Failed to evaluate|stream events, column wide"):
        stream_map.transform({"event_name": "x"})
