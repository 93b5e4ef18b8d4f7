"""Events as customers send them and no one would design them, each once a day in the data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.sandbox.events import Verbatim

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Oddity:
    """What is odd about an event.

    Attributes:
        name: Name of the event.
        properties: Properties that it has on top of, or in the place of, the usual ones.
        without: Usual properties that it lacks.
    """

    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


def _lacks(name: str, *without: str) -> Oddity:
    return Oddity(name, without=frozenset(without))


ODDITIES = (
    # Names that a table would take for its own columns, or that differ in `$` only.
    Oddity("Plain and dollar", {"$email": "a@example.com", "email": "b@example.com"}),
    Oddity("Property event", {"event": "not the event's name"}),
    Oddity("Property properties", {"properties": {"time": 1, "distinct_id": "inner"}}),
    Oddity("Property event_name", {"event_name": "not the event's name either"}),
    Oddity("Property insert_id", {"insert_id": "the-customer's-own"}),
    Oddity("Property import", {"import": "the-customer's-own", "$import": True}),
    Oddity("Property timestamp", {"timestamp": "2001-01-01T00:00:00Z"}),
    Oddity("Property event_id", {"event_id": 42, "_id": "x", "_sdc_batched_at": "y"}),
    Oddity(
        "Property mp_api_endpoint", {"mp_api_endpoint": "elsewhere", "mp_api_timestamp_ms": "x"}
    ),
    # Names of any characters.
    Oddity(
        "Names of properties",
        {"My Prop": 1.5, "cart.total": 9, "größe": "L", "数量": 3, "🎉": True},
    ),
    Oddity("Case only", {"Plan": "gold", "plan": "silver", "PLAN": "bronze"}),
    Oddity("Names that need quoting", {'say "hi"': 1, "back\\slash": 2, "tab\there": 3, "": 4}),
    Oddity(
        "Names that look like code", {"class": 1, "__proto__": 2, "a-b": 3, "1st": 4, "select": 5}
    ),
    # One property, several types.
    Oddity("Type of score", {"score": 10}),
    Oddity("Type of score", {"score": "ten"}),
    Oddity("Type of score", {"score": [10, "ten"]}),
    Oddity("Type of score", {"score": {"value": 10}}),
    Oddity("Type of score", {"score": True}),
    Oddity("Type of score", {"score": None}),
    # The same with the columns of the mapping.
    Oddity(
        "Item Sold",
        {"item_id": 4711, "item_name": ["a", "b"], "item_price": 19.5, "$import": "yes"},
    ),
    Oddity(
        "Item Sold",
        {"item_id": None, "item_name": "", "item_price": {"amount": 1}, "$import": "on"},
    ),
    Oddity("Item Sold", {"item_id": True, "item_name": 1.0, "item_price": "", "$import": "No"}),
    Oddity(
        "Item Sold", {"item_id": [], "item_name": {}, "item_price": Verbatim("1e5"), "$import": "y"}
    ),
    Oddity("Timestamp as text", {"$mp_api_timestamp_ms": "1602611312000", "$mp_api_endpoint": 7}),
    # Numbers.
    Oddity("Numbers", {"above 2^53": 9007199254740993, "lowest": -9223372036854775808}),
    Oddity(
        "Number notations",
        {"float": Verbatim("1.0"), "power": Verbatim("1e5"), "zero": Verbatim("-0.0")},
    ),
    Oddity(
        "Number digits",
        {"exact": Verbatim("0.1000000000000000055511151231257827"), "small": 5e-324},
    ),
    # Structures.
    Oddity("Nested", {"cart": {"total": 12.5, "lines": {"count": 2, "first": {"sku": "A-1"}}}}),
    Oddity("Lists", {"tags": ["a", "b", None, 1, 2.5, False], "none": [], "matrix": [[1], [2]]}),
    Oddity("List of objects", {"cart": [{"sku": "A-1", "qty": 1}, {"sku": "B-2", "qty": 2}]}),
    Oddity("Nothing", {"null": None, "empty": "", "no list": [], "no object": {}, "blank": " "}),
    Oddity("Date as text", {"$created": "2024-02-29T23:59:60", "birthday": "2000-01-01"}),
    # Characters.
    Oddity(
        "Line separators", {"text": "one\u2028two\u2029three\u0085four", "escaped": "a\nb\r\nc"}
    ),
    Oddity("Emoji", {"mood": "👩‍👩‍👧‍👦 🏳️‍🌈", "flag": Verbatim('"\\ud83c\\uddf3\\ud83c\\uddf4"')}),
    Oddity(
        "Escapes",
        {"slash": Verbatim('"a\\/b"'), "quote": '"', "control": "\x01\x1f", "delete": "\x7f"},
    ),
    Oddity(
        "Directions",
        {
            "text": "abc \u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0633\u0644\u0627\u0645",
            "combining": "e\u0301",
            "bom": "\ufeffx",
        },
    ),
    Oddity(
        "Looks like an end", {"text": "terminated early", "line": '{"event":"x","properties":{}}'}
    ),
    Oddity("255 bytes", {"text": "ä" * 127 + "x"}),
    # Names of events.
    Oddity('Paid | "gold" | it\'s'),
    Oddity("購入完了 ✅"),
    Oddity("$mp_web_page_view"),
    Oddity("  blanks around  "),
    Oddity("export terminated early"),
    Oddity(""),
    # Identity.
    Oddity("Numeric user", {"distinct_id": 12345}),
    Oddity("Numeric user", {"distinct_id": Verbatim("1.0")}),
    Oddity("Empty user", {"distinct_id": ""}),
    Oddity("Null user", {"distinct_id": None}),
    _lacks("No user", "distinct_id"),
    Oddity("Merged user", {"$distinct_id_before_identity": "$device:5f0c", "distinct_id": "u1"}),
    Oddity("User with bars", {"distinct_id": "a|b|c"}),
    _lacks("No insert id", "$insert_id"),
    Oddity("Empty insert id", {"$insert_id": ""}),
    Oddity("Null insert id", {"$insert_id": None}),
    Oddity("Numeric insert id", {"$insert_id": 77}),
    _lacks("No processing time", "mp_processing_time_ms"),
    _lacks(
        "Hardly anything",
        "mp_processing_time_ms",
        "$insert_id",
        "$mp_api_timestamp_ms",
        "$mp_api_endpoint",
    ),
    # Size.
    Oddity("255 properties", {f"property {number}": number for number in range(240)}),
)
"""What Mixpanel takes, and every loader has to get through."""

HUGE = Oddity("Huge", {f"list {number}": ["x" * 250] * 31 for number in range(25)})
"""One event of about 200 KB."""

HOSTILE = (
    Oddity("Beyond floats", {"number": Verbatim("1e400"), "below": Verbatim("-1e400")}),
    Oddity(
        "Beyond 64 bits",
        {"number": Verbatim("12345678901234567890123"), "id": 18446744073709551616},
    ),
    Oddity(
        "Lone surrogate",
        {"text": Verbatim('"half \\ud800 of a pair"'), "low": Verbatim('"\\udc00"')},
    ),
    Oddity(
        "Beyond 64 bits",
        {"item_id": Verbatim("12345678901234567890"), "item_price": Verbatim("1e400")},
    ),
    Oddity("Item Sold", {"$import": "maybe"}),
    Oddity("Item Sold", {"$import": 1}),
    Oddity("Timestamp as no number", {"$mp_api_timestamp_ms": "12 o'clock"}),
)
"""What JSON's grammar allows and some real loaders refuse, and what fits no column's type."""

NULL_BYTES = (Oddity("Null byte", {"text": "a\u0000b"}),)
"""What PostgreSQL can't store."""
