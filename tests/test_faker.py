"""`faker_config`, and `fake` in stream maps: with the extra `faker`, and without."""

from __future__ import annotations

from datetime import datetime

import pytest
from harness import UTC, run_tap, some_days
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.config import checks, map_checks
from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

NOW = datetime(2026, 3, 2, tzinfo=UTC)
EXTRA = "pip install tap-mixpanel-export[faker]"
MAPS = {"events": {"distinct_id": "fake.name()", "city": "fake.city()"}}


@pytest.fixture
def sandbox():
    with Sandbox(
        some_days(datetime(2026, 3, 1, tzinfo=UTC), 1), clock=SandboxClock.fixed(NOW)
    ) as s:
        yield s


@pytest.fixture
def without_faker(monkeypatch):
    for module in (checks, map_checks):
        monkeypatch.setattr(module, "find_spec", lambda _name: None)


def made_up(sandbox, **settings):
    got = run_tap(sandbox, start_date="2026-03-01", stream_maps=MAPS, **settings)
    assert got.error is None
    return [(record["distinct_id"], record["city"]) for record in got.records]


@pytest.mark.slow
def test_values_are_made_up_as_faker_config_says(sandbox):
    first = made_up(sandbox, faker_config={"seed": 7, "locale": "ja_JP"})
    assert len(set(first)) > 1
    assert not any(name.isascii() or city.isascii() for name, city in first)
    assert made_up(sandbox, faker_config={"seed": 7, "locale": "ja_JP"}) == first
    assert made_up(sandbox, faker_config={"seed": 8, "locale": "ja_JP"}) != first
    assert all(name.isascii() for name, _ in made_up(sandbox, faker_config={"locale": "en_US"}))


@pytest.mark.usefixtures("without_faker")
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"faker_config": {"seed": 7}}, f"faker_config needs an extra: {EXTRA}"),
        (
            {"stream_maps": {"events": {"city": "fake.city()"}}},
            f"stream_maps: events.city: `fake` needs an extra: {EXTRA}",
        ),
    ],
)
def test_without_the_extra_each_is_refused_in_one_sentence(sandbox, settings, told):
    with pytest.raises(ConfigValidationError) as caught:
        run_tap(sandbox, start_date="2026-03-01", **settings)
    assert caught.value.errors == [f"Settings refused:\n  - {told}"]
    assert sandbox.requests == []
