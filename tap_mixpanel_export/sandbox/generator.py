"""Large data sets, made fast and held compressed."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Literal

from tap_mixpanel_export.sandbox.clock import epoch_milliseconds
from tap_mixpanel_export.sandbox.gzip_stream import Block
from tap_mixpanel_export.sandbox.project import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator


Shape = Literal["wide", "adobe"]

_LINES_A_PIECE = 400
_DAY_MS = 86_400_000
_MOST_DAYS_LATE = 4

_ADOBE = (
    '{"event":"%s","properties":{"time":%d,"distinct_id":"user-%d","$insert_id":"%016x%016x",'
    '"$import":true,"item_id":"item-%d","item_name":"Item number %d","item_price":%d.5,'
    '"$mp_api_endpoint":"api.mixpanel.com","$mp_api_timestamp_ms":%d,"mp_processing_time_ms":%d}}\n'
)
_WIDE = _ADOBE.removesuffix("}}\n") + (
    ',"$city":"%s","$region":"Region %d","mp_country_code":"NO","$os":"%s","$browser":"Chrome",'
    '"$browser_version":128,"$current_url":"https://shop.example/section/%d/item/%d'
    '?campaign=autumn-sale&source=newsletter&ref=front-page",'
    '"$device_id":"%016x-5f3759df-4b1d-4c8e-9a5b",'
    '"$initial_referrer":"https://search.example/results?q=mugs+and+posters&page=2&lang=nb&r=%d",'
    '"$initial_referring_domain":"search.example","$lib_version":"2.55.1","$screen_height":1080,'
    '"$screen_width":1920,"$user_id":"user-%d","$had_persisted_distinct_id":false,"mp_lib":"web",'
    '"Account Plan":"enterprise","Account Seats":%d,"Experiment Group":"variant-%d",'
    '"Is Trial":false,"Page Load Seconds":0.%d,"Session Number":%d,"Theme":"dark",'
    '"tags":["alpha","beta","gamma"],"cart":{"total":%d.25,"lines":%d}}}\n'
)
_NAMES = ("Page Viewed", "Signed up", "Search", "Item Sold")
_CITIES = ("Oslo", "Bergen", "Trondheim", "Tromsø", "Ålesund")
_SYSTEMS = ("Windows", "Mac OS X", "iOS", "Android")


@dataclass(frozen=True, slots=True)
class Generated:
    """What to generate. The same description gives the same lines.

    Attributes:
        events: Number of events, repeats not counted.
        days: Days that they are spread over.
        last_day: Last of the days, UTC.
        shape: `wide`: 35 properties, about 1130 bytes a line; `adobe`: the 11 mapped fields only.
        duplicates: Share of events that come a second time, byte by byte.
        late: Share of events that are processed one to four days after they happened.
        seed: Another number gives other events.
    """

    events: int
    days: int
    last_day: date
    shape: Shape = "wide"
    duplicates: float = 0.0
    late: float = 0.0
    seed: int = 0


def generate(what: Generated) -> Iterator[Piece]:
    """Generate a data set in compressed pieces, for `Sandbox(events=[], pieces=...)`.

    Raises:
        ValueError: `days` is less than 1.
    """
    if what.days < 1:
        raise ValueError("a data set needs at least one day")
    borders = [what.events * number // what.days for number in range(what.days + 1)]
    for number in range(what.days):
        day = what.last_day - timedelta(days=what.days - 1 - number)
        count = borders[number + 1] - borders[number]
        yield from _day(what, day, count)


def _day(what: Generated, day: date, count: int) -> Iterator[Piece]:
    # Repeatable, not secret.
    pick = random.Random(f"{what.seed} {day.isoformat()}")  # noqa: S311
    midnight = epoch_milliseconds(datetime.combine(day, time(), tzinfo=timezone.utc))
    lines: list[str] = []
    processed = array("q")
    for _ in range(count):
        at = midnight + int(pick.random() * _DAY_MS)
        delay = 2000 + int(pick.random() * 60_000)
        if what.late and pick.random() < what.late:
            delay += int((1 + pick.random() * (_MOST_DAYS_LATE - 1)) * _DAY_MS)
        line = _line(what.shape, pick, at, at + delay)
        copies = 2 if what.duplicates and pick.random() < what.duplicates else 1
        for _ in range(copies):
            lines.append(line)
            processed.append(at + delay)
        if len(lines) >= _LINES_A_PIECE:
            yield Piece(day, Block.of("".join(lines).encode()), processed)
            lines, processed = [], array("q")
    if lines:
        yield Piece(day, Block.of("".join(lines).encode()), processed)


def _line(shape: Shape, pick: random.Random, at: int, processed: int) -> str:
    bits = pick.getrandbits(64)
    user, item = bits % 50_000, bits % 997
    values = (
        _NAMES[bits & 3],
        at // 1000,
        user,
        bits,
        bits * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF,
        item,
        item,
        item % 90,
        processed - 1500,
        processed,
    )
    if shape == "adobe":
        return _ADOBE % values
    return _WIDE % (
        *values,
        _CITIES[bits % 5],
        bits % 17,
        _SYSTEMS[bits >> 2 & 3],
        item % 20,
        item,
        bits >> 7,
        bits >> 13,
        user,
        bits % 400,
        bits >> 3 & 7,
        bits % 100_000,
        bits % 211,
        bits % 300,
        bits % 9,
    )
