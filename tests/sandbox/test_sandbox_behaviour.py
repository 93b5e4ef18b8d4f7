"""What the service may do otherwise than documented: each mode does what it says, and no more."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest

from tap_mixpanel_export.sandbox import (
    Behaviour,
    BehaviourError,
    Event,
    Generated,
    Sandbox,
    SandboxClock,
    generate,
)
from tap_mixpanel_export.sandbox import cli as command
from tap_mixpanel_export.sandbox.behaviour import DATE_MODES, STAMP_MODES
from tap_mixpanel_export.sandbox.where_modes import WHERE_MODES

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
STAMP = 'properties["mp_processing_time_ms"]'
# Beyond 31 bits, and with low bits by which it is smaller than what came before it.
WATERMARK = NOON - 5 * HOUR
CLAUSE = f"number({STAMP}) > {int(WATERMARK.timestamp() * 1000)} or not defined({STAMP})"
EARLY = [Event.at(NOON - n * HOUR, insert_id=f"early {n}") for n in range(6, 16)]
LATE = [Event.at(NOON - n * HOUR, insert_id=f"late {n}") for n in range(1, 5)]
UNSTAMPED = [Event.at(NOON - 2 * HOUR, insert_id="unstamped", stamped=False)]
EVENTS = EARLY + LATE + UNSTAMPED


@pytest.fixture
def sandbox(clock):
    with Sandbox(EVENTS, clock=clock) as sandbox:
        yield sandbox


def names(events):
    return {json.loads(event.line())["properties"]["$insert_id"] for event in events}


@pytest.fixture
def ask(fetch, sandbox):
    def get(where=CLAUSE, **params):
        answer = fetch(sandbox, where=where, **params)
        if answer.status_code != 200:
            return answer.status_code
        lines = answer.content.splitlines()
        return {json.loads(line)["properties"]["$insert_id"] for line in lines}

    return get


ALL, WANTED = names(EVENTS), names(LATE + UNSTAMPED)
EXPECTED = {
    "documented": WANTED,
    "ignored": ALL,
    "all_ignored": ALL,
    "nothing": set(),
    "31_bits_most": names(UNSTAMPED),
    "single_precision": WANTED,
    "defined": names(LATE),
    "undefined": ALL,
    "wide_not": WANTED,
    "widest_not": names(UNSTAMPED),
    "no_number": names(UNSTAMPED),
    "number_refused": 400,
    "refused": 400,
    "failing": 500,
}


@pytest.mark.parametrize("mode", EXPECTED)
def test_the_clause_is_read_as_the_mode_says(sandbox, ask, mode):
    sandbox.behaviour = Behaviour(where=mode)
    assert ask() == EXPECTED[mode]
    # What is not about the stamp is read as documented.
    assert ask('properties["$insert_id"] == "late 1"') == {"late 1"}
    assert ask(None) == ALL
    # What is no expression is refused as such.
    assert ask(CLAUSE + " or") == 400


@pytest.mark.parametrize(
    ("mode", "other"),
    [
        ("ignored_by_turns", ALL),
        ("nothing_by_turns", set()),
        ("refused_by_turns", 400),
        ("failing_by_turns", 500),
    ],
)
def test_by_turns(sandbox, ask, mode, other):
    sandbox.behaviour = Behaviour(where=mode)
    assert [ask() if n % 2 else (ask(None), ask())[1] for n in range(4)] == [WANTED, other] * 2


def test_every_mode_is_tested():
    turns = {name for name in WHERE_MODES if name.endswith("_by_turns")}
    assert WHERE_MODES.keys() == EXPECTED.keys() | turns | {"half", "31_bits"}


def test_half_of_what_passes_is_left_out(sandbox, ask):
    more = [Event.at(NOON - HOUR, insert_id=f"more {n}") for n in range(100)]
    sandbox.add(more)
    sandbox.behaviour = Behaviour(where="half")
    got = ask()
    assert got < WANTED | names(more)
    assert 30 < len(got) < 75
    assert ask() == got


def test_31_bits_turn_round(sandbox, ask):
    sandbox.behaviour = Behaviour(where="31_bits")
    number = 2**31 * 7
    for value, more, passes in ((5, 3, True), (3, 5, False), (3, 2**31 + 2, True)):
        event = Event.of(
            "Odd",
            {
                "time": int(NOON.timestamp()) - 60,
                "$insert_id": "odd",
                "mp_processing_time_ms": number + value,
            },
            processed_ms=0,
        )
        sandbox.add([event])
        assert ("odd" in ask(f"{STAMP} > {number + more}")) is passes
        sandbox.project._days.clear()


def test_single_precision_cannot_tell_two_minutes(sandbox, ask):
    at = int(WATERMARK.timestamp() * 1000)
    after = [
        Event.at(WATERMARK, processed=WATERMARK + n * HOUR / 120, insert_id=f"{n}")
        for n in range(1, 9)
    ]
    sandbox.add(after)
    got = ask(f"{STAMP} > {at}")
    sandbox.behaviour = Behaviour(where="single_precision")
    left_out = got - ask(f"{STAMP} > {at}")
    assert left_out in ({f"{n}" for n in range(1, last)} for last in (2, 3, 4, 5, 6))


def test_wide_nots_reach_further():
    read = lambda mode, text: WHERE_MODES[mode].read(text, 0)  # noqa: E731 - a short name
    first, last = 'properties["a"] == 1', f"{STAMP} == 1"
    both = {"a": 1, "mp_processing_time_ms": 1}
    only_last = {"mp_processing_time_ms": 1}
    # Documented: (not a) or b. Wider: not (a or b).
    text = f"not {first} or {last}"
    assert [read(mode, text)(both) for mode in ("documented", "wide_not")] == [True, False]
    # The parentheses bound it.
    text = f"(not {first}) or {last}"
    assert [read(mode, text)(both) for mode in ("documented", "wide_not")] == [True, True]
    # Documented: a or not b. Over all: not (a or b).
    text = f"{first} or not {last}"
    assert [read(mode, text)(both) for mode in ("documented", "widest_not")] == [True, False]
    assert [read(mode, text)(only_last) for mode in ("documented", "widest_not")] == [False, False]
    quoted = f'properties["a"] == "not" or {last}'
    assert read("widest_not", quoted)({"a": "not"}) is True


def test_stamps(sandbox, fetch):
    stamp = int((NOON - HOUR).timestamp() * 1000) + 40_000
    expected = {
        "milliseconds": stamp,
        "text": f"{stamp}",
        "seconds": stamp // 1000,
        "float": float(stamp),
        "zero": 0,
        "null": None,
        "missing": "no such property",
    }
    assert STAMP_MODES.keys() == expected.keys()
    for mode, value in expected.items():
        sandbox.behaviour = Behaviour(stamps=mode)
        lines = fetch(sandbox).content.splitlines()
        assert sorted(lines) == sorted(sandbox.visible())
        found = {}
        for line in lines:
            properties = json.loads(line)["properties"]
            got = properties.pop("mp_processing_time_ms", "no such property")
            found[properties["$insert_id"]] = got
            assert properties.keys() == {"time", "distinct_id", "$insert_id"}
        assert found["late 1"] == value
        assert type(found["late 1"]) is type(value)
        assert found["unstamped"] == "no such property"


def test_the_clause_reads_what_is_exported(sandbox, ask):
    sandbox.behaviour = Behaviour(stamps="text")
    assert ask() == WANTED
    assert ask(CLAUSE.replace(f"number({STAMP})", STAMP)) == names(UNSTAMPED)
    sandbox.behaviour = Behaviour(stamps="seconds")
    assert ask() == names(UNSTAMPED)
    sandbox.behaviour = Behaviour(stamps="missing")
    assert ask() == ALL


@pytest.mark.parametrize("text", ['"mp_processing_time_ms":5', "plain"])
def test_only_the_stamp_is_changed(clock, fetch, text):
    event = Event.at(NOON - HOUR, insert_id="1", before=text)
    with Sandbox([event], clock=clock, behaviour=Behaviour(stamps="zero")) as sandbox:
        properties = json.loads(fetch(sandbox).content)["properties"]
    assert (properties["before"], properties["mp_processing_time_ms"]) == (text, 0)


def dates(fetch, sandbox, **behaviour):
    sandbox.behaviour = Behaviour(**behaviour)
    told = [fetch(sandbox).headers.get("Date") for _ in range(3)]
    return [None if text is None else parsedate_to_datetime(text) for text in told]


def test_dates(sandbox, fetch):
    hours = timedelta(hours=3)
    assert dates(fetch, sandbox) == [NOON] * 3
    assert dates(fetch, sandbox, date="ahead") == [NOON + hours] * 3
    assert dates(fetch, sandbox, date="behind") == [NOON - hours] * 3
    minutes = timedelta(minutes=20)
    assert dates(fetch, sandbox, date="ahead", date_minutes=20) == [NOON + minutes] * 3
    jumping = dates(fetch, sandbox, date="jumping", date_minutes=20)
    assert sorted(jumping) == [NOON - minutes, NOON, NOON + minutes]
    assert dates(fetch, sandbox, date="missing") == [None] * 3
    sandbox.behaviour = Behaviour(date="unreadable")
    with pytest.raises(ValueError, match="day before"):
        parsedate_to_datetime(fetch(sandbox).headers["Date"])
    sandbox.behaviour = Behaviour(date="year_1")
    assert "0001" in fetch(sandbox, where="no expression").headers["Date"]
    assert len(DATE_MODES) == 7


@pytest.mark.parametrize("pieces", [False, True])
def test_events_show_up_late(fetch, pieces):
    clock = SandboxClock.fixed(NOON)
    if pieces:
        what = Generated(50, 1, date(2026, 11, 19))
        last = NOON - 12 * HOUR + timedelta(seconds=62)
        start = {"events": [], "pieces": list(generate(what))}
    else:
        last = NOON
        start = {
            "events": [
                Event.at(NOON - n * HOUR / 50, insert_id=f"{n}", processed=NOON - n * HOUR / 50)
                for n in range(50)
            ]
        }
    behaviour = Behaviour(visible_after_minutes=20, visible_jitter_minutes=30)
    with Sandbox(**start, clock=clock, behaviour=behaviour) as sandbox:
        counts = []
        for minutes in range(-1441 if pieces else -60, 61, 10):
            clock.set(last + timedelta(minutes=minutes))
            today = clock.now().date().isoformat()
            counts.append(len(fetch(sandbox, to_date=today).content.splitlines()))
            assert counts[-1] == len(sandbox.visible())
        assert counts == sorted(counts)
        assert counts[-1] == 50
        assert any(0 < count < 50 for count in counts)
        sandbox.behaviour = Behaviour(visible_after_minutes=20)
        clock.set(last + timedelta(minutes=20))
        assert len(sandbox.visible()) == 50
        clock.advance(timedelta(minutes=-1) if not pieces else timedelta(hours=-6))
        assert 0 < len(sandbox.visible()) < 50


def test_merged_users_are_exported_as_such(sandbox, fetch):
    sandbox.add([Event.at(NOON - HOUR, insert_id="x", distinct_id="u2", said='"distinct_id":"u1"')])
    before = {json.loads(line)["properties"]["$insert_id"]: line for line in sandbox.visible()}
    sandbox.behaviour = Behaviour(merges=(("u1", "one, merged"),))
    for line in fetch(sandbox).content.splitlines():
        properties = json.loads(line)["properties"]
        if properties["$insert_id"] == "x":
            assert line == before["x"]
            continue
        assert properties.pop("distinct_id") == "one, merged"
        assert properties.pop("$distinct_id_before_identity") == "u1"
        former = json.loads(before[properties["$insert_id"]])["properties"]
        assert former == {**properties, "distinct_id": "u1"}


def test_wide_windows_can_be_refused(sandbox, ask):
    sandbox.behaviour = Behaviour(widest_days=30)
    assert ask(None, from_date="2026-10-22") == ALL
    assert ask(None, from_date="2026-10-21") == 400


@pytest.mark.slow
def test_late_arrivals_of_any_age():
    clock = SandboxClock.fixed(NOON)
    usual = Sandbox(clock=clock)
    late = Sandbox(clock=clock, late_arrivals=3, late_days=2000)
    clock.advance(timedelta(days=2))
    more = set(late.visible()) - set(usual.visible())
    assert set(usual.visible()) < set(late.visible())
    arrived = [json.loads(line)["properties"] for line in more]
    ages = [a["mp_processing_time_ms"] / 1000 - a["time"] for a in arrived]
    assert 8 * 3 <= len(ages) <= 10 * 3
    assert max(ages) > 1000 * 86_400
    assert {a["mp_processing_time_ms"] // 86_400_000 for a in arrived} >= {
        (NOON + timedelta(days=n)).timestamp() // 86_400 for n in range(-7, 2)
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"where": "maybe"}, "where: one of documented"),
        ({"date": 3}, "date: one of true"),
        ({"stamps": None}, "stamps: one of"),
        ({"visible_after_minutes": -1}, "visible_after_minutes"),
        ({"visible_jitter_minutes": "long"}, "visible_jitter_minutes"),
        ({"date_minutes": True}, "date_minutes"),
        ({"widest_days": 0}, "widest_days"),
        ({"merges": {"u1": 2}}, "merges"),
        ({"merges": ["u1"]}, "merges"),
        ({"wear": "nothing"}, "unknown key wear"),
    ],
)
def test_a_behaviour_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(BehaviourError, match=message):
        Behaviour.read(wrong)


def test_the_command_line_changes_what_the_scenario_says(tmp_path, monkeypatch):
    path = tmp_path / "scenario.json"
    path.write_text('{"behaviour": {"where": "nothing", "date": "ahead", "merges": {"a": "b"}}}')
    started = []
    monkeypatch.setattr(command, "_serve", lambda sandbox: started.append(sandbox.behaviour) or 0)
    options = ["--behave", "where=refused", "--behave", "date_minutes=20.5", "--behave"]
    more = ["merges=c:d", "--behave", "widest_days=30", "--late-arrivals", "2"]
    assert command.main(["--scenario", str(path), *options, *more]) == 0
    assert started == [
        Behaviour(
            where="refused",
            date="ahead",
            date_minutes=20.5,
            widest_days=30,
            merges=(("a", "b"), ("c", "d")),
        )
    ]


@pytest.mark.parametrize("option", ["where=maybe", "nothing", "wear=nothing", "widest_days=many"])
def test_a_wrong_option_is_one_line(option, capsys):
    assert command.main(["--behave", option]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mixpanel-sandbox: --behave")
    assert len(error.splitlines()) == 1


def test_the_help_names_every_behaviour(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in (*WHERE_MODES, *DATE_MODES, *STAMP_MODES))
    assert all(f" {name}=" in told for name in ("visible_after_minutes", "widest_days", "merges"))
