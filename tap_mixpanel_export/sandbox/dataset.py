"""The bundled data set: a shop with a web site and a phone app, each day made from its date alone.

Whoever runs again tomorrow finds the same days as today, and one more.
"""

from __future__ import annotations

import random
import string
import threading
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.sandbox.clock import epoch_milliseconds
from tap_mixpanel_export.sandbox.events import Event, exported_milliseconds
from tap_mixpanel_export.sandbox.oddities import HOSTILE, HUGE, NULL_BYTES, ODDITIES, Oddity

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAYS_BACK = 7
_USUAL_EVENTS = 240
# Mixpanel's SDKs keep offline events for five days.
_LATE_DAYS = (1.0, 4.0)
_HUGE_EVERY_DAYS = 3
_LETTERS = string.ascii_letters + string.digits
_PLACES = (
    ("Oslo", "Oslo", "NO"),
    ("San Francisco", "California", "US"),
    ("München", "Bayern", "DE"),
    ("São Paulo", "São Paulo", "BR"),
    ("東京", "東京都", "JP"),
)
_CLIENTS: tuple[dict[str, Any], ...] = (
    {"$os": "Windows", "$browser": "Chrome", "$browser_version": 128, "mp_lib": "web"},
    {"$os": "Mac OS X", "$browser": "Safari", "$browser_version": 17.5, "mp_lib": "web"},
    {"$os": "iOS", "$os_version": "17.6.1", "$model": "iPhone15,2", "mp_lib": "iphone"},
    {"$os": "Android", "$os_version": "14", "$brand": "google", "mp_lib": "android"},
)
_ITEMS = (("A-1", "Mug", 9.5), ("B-2", "T-shirt, blue", 24), ("C-3", "Poster “Fjord”", 39.99))
_NAMES = (
    "Page Viewed",
    "Page Viewed",
    "App Opened",
    "Search",
    "Signed up",
    "Added to cart",
    "Item Sold",
)


class SampleData:
    """The bundled data set, from seven days before the first time asked for. Thread-safe.

    Args:
        start: The first time asked for; needs a zone.
        zone: Zone of a project created before 2023; `None` for UTC.
        hostile: Whether to have the values that some real loaders refuse.
        null_bytes: Whether to have the escape of U+0000.
        late_arrivals: So many more events come in every day that happened long before.
        late_days: The oldest of them are so many days old.
    """

    def __init__(  # noqa: PLR0913 - each adds something of its own
        self,
        start: datetime,
        zone: ZoneInfo | None = None,
        *,
        hostile: bool = False,
        null_bytes: bool = False,
        late_arrivals: int = 0,
        late_days: int = 1000,
    ) -> None:
        self._zone = zone
        self._late_arrivals = late_arrivals
        self._late_days = late_days
        self._oddities = (
            ODDITIES + (HOSTILE if hostile else ()) + (NULL_BYTES if null_bytes else ())
        )
        self._lock = threading.Lock()
        self._next = self._day_of(start) - timedelta(days=_DAYS_BACK)

    def until(self, now: datetime) -> list[Event]:
        """Return the events of the days up to today that were not returned before.

        Args:
            now: The time; needs a zone. Events that are processed only later are returned, too.
        """
        today = self._day_of(now)
        events: list[Event] = []
        with self._lock:
            while self._next <= today:
                events += self.day(self._next)
                self._next += timedelta(days=1)
        return events

    def day(self, day: date) -> list[Event]:
        """Return the events of one day of the project's zone, in no particular order.

        Late arrivals are those that come in on that day.
        """
        usual = _DayMaker(day, self._zone, self._oddities).make()
        # From a maker of their own: the usual events stay the same, whatever comes late.
        late = _DayMaker(day, self._zone, ())
        return usual + [late.late_arrival(self._late_days) for _ in range(self._late_arrivals)]

    def _day_of(self, at: datetime) -> date:
        return at.astimezone(self._zone or timezone.utc).date()


class _DayMaker:
    """Makes the events of one day."""

    def __init__(self, day: date, zone: ZoneInfo | None, oddities: tuple[Oddity, ...]) -> None:
        self._zone = zone
        self._day = day
        self._oddities = oddities
        # Repeatable on every machine and Python version; nothing here needs secrecy.
        self._random = random.Random(day.isoformat())  # noqa: S311
        self._start, end = (
            datetime.combine(midnight, time(), tzinfo=zone or timezone.utc).astimezone(timezone.utc)
            for midnight in (day, day + timedelta(days=1))
        )
        # 23 or 25 hours where the clocks change.
        self._milliseconds = (end - self._start) // timedelta(milliseconds=1)

    def make(self) -> list[Event]:
        # Midnight itself is the border that both of two days could claim.
        events = [self._event("Page Viewed", self._start, {})]
        events += [self._usual() for _ in range(_USUAL_EVENTS)]
        events += [self._odd(oddity) for oddity in self._oddities]
        if self._day.toordinal() % _HUGE_EVERY_DAYS == 0:
            events.append(self._odd(HUGE))
        return events + self._repeats()

    def late_arrival(self, most_days: int) -> Event:
        """Make an event that comes in on this day and happened long before."""
        age = timedelta(days=self._random.uniform(1, most_days))
        return self._event("Imported", self._instant() - age, {}, delay=age)

    def _usual(self) -> Event:
        name = self._random.choice(_NAMES)
        extra: dict[str, Any] = {}
        if name == "Item Sold":
            item_id, item_name, item_price = self._random.choice(_ITEMS)
            extra = {"item_id": item_id, "item_name": item_name, "item_price": item_price}
            extra["$import"] = self._random.random() < 0.5  # noqa: PLR2004
        elif name == "Search":
            extra = {
                "query": self._random.choice(("mug", "blå kopp", "plakat 50/70")),
                "results": 3,
            }
        elif name == "Page Viewed":
            extra = {"$current_url": f"https://shop.example/{self._random.randrange(40)}"}
        return self._event(name, self._instant(), extra, delay=self._delay())

    def _odd(self, oddity: Oddity) -> Event:
        return self._event(
            oddity.name, self._instant(), dict(oddity.properties), without=oddity.without
        )

    def _repeats(self) -> list[Event]:
        """Make the events that only Mixpanel's full identity of an event tells apart."""
        events = []
        for copies in range(4):
            instant, insert_id = self._instant(), self._insert_id()
            first = self._event("Signed up", instant, {"$insert_id": insert_id, "$city": "Oslo"})
            # The same event ingested again and again, byte by byte: one event.
            events += [first] * (copies + 2)
        for delay in (30, 600, 7200, 93_600):
            instant, same = self._instant(), {"$insert_id": self._insert_id(), "distinct_id": "u7"}
            # The same event processed again with more in it: the latest counts.
            events.append(self._event("Added to cart", instant, {**same, "version": 1}))
            later = timedelta(seconds=delay)
            events.append(
                self._event("Added to cart", instant, {**same, "version": 2}, delay=later)
            )
        # One `$insert_id`, four events: it is unique only together with name, user and time.
        instant, insert_id = self._instant(), self._insert_id()
        step = timedelta(seconds=-1 if instant - self._start > timedelta(hours=1) else 1)
        for name, user, at in (
            ("Signed up", "u1", instant),
            ("Search", "u1", instant),
            ("Signed up", "u2", instant),
            ("Signed up", "u1", instant + step),
        ):
            events.append(self._event(name, at, {"$insert_id": insert_id, "distinct_id": user}))
        return events

    def _event(
        self,
        name: str,
        instant: datetime,
        extra: dict[str, Any],
        *,
        delay: timedelta | None = None,
        without: frozenset[str] = frozenset(),
    ) -> Event:
        pick = self._random
        received = instant + timedelta(milliseconds=pick.randrange(50, 4000))
        processed = received + timedelta(milliseconds=pick.randrange(1000, 90_000))
        if delay is not None:
            received, processed = received + delay, processed + delay
        city, region, country = pick.choice(_PLACES)
        properties: dict[str, Any] = {
            "distinct_id": f"u{pick.randrange(60)}",
            "$insert_id": self._insert_id(),
            "$city": city,
            "$region": region,
            "mp_country_code": country,
            **pick.choice(_CLIENTS),
            "$device_id": f"{pick.getrandbits(64):016x}",
            "$screen_height": pick.choice((844, 1080, 1440)),
            "$mp_api_endpoint": "api.mixpanel.com",
            "$mp_api_timestamp_ms": epoch_milliseconds(received),
            "mp_processing_time_ms": epoch_milliseconds(processed),
            **extra,
        }
        for key in without:
            del properties[key]
        return Event.of(
            name,
            properties,
            time_ms=exported_milliseconds(instant, self._zone),
            processed_ms=epoch_milliseconds(processed),
        )

    def _instant(self) -> datetime:
        return self._start + timedelta(milliseconds=self._random.randrange(self._milliseconds))

    def _delay(self) -> timedelta | None:
        dice = self._random.random()
        if dice < 0.06:  # noqa: PLR2004
            return timedelta(days=self._random.uniform(*_LATE_DAYS))
        if dice < 0.15:  # noqa: PLR2004
            return timedelta(minutes=self._random.uniform(1, 180))
        return None

    def _insert_id(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=36))
