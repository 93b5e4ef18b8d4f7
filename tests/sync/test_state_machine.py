"""Whatever the service does, and whatever goes wrong: nothing is lost, nothing comes twice.

Each step is drawn: events of any age come in, the service changes its ways, time passes, runs
finish, fail and are killed. After each run the state is held to its word.
`STATE_MACHINE_EXAMPLES=2000` in the environment makes it a long run.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from harness import DAY, UTC, hasty, instant, run_tap
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from promises import (
    assert_small,
    entry_of,
    fact,
    is_promised,
    may_come_again,
    proof_age,
    proof_of,
    watermark_of,
)
from worker_threads import read_by_workers

from tap_mixpanel_export.sandbox import Behaviour, Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.where_modes import WHERE_MODES

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LOOKBACK_DAYS = 2
HONEST = Behaviour()

# Los Angeles sets its clocks on 2026-03-08 and 2026-11-01.
ZONES = {
    "UTC": datetime(2026, 3, 9, tzinfo=UTC),
    "America/Los_Angeles": datetime(2026, 3, 9, 7, tzinfo=UTC),
    "US/Pacific": datetime(2026, 11, 2, 8, tzinfo=UTC),
}

PASSING_FAULTS = [
    "reset",
    "reset_in_body",
    "truncated_chunk",
    "truncated_gzip",
    "terminated_early",
    "cut_last_line",
    "malformed_line",
    "split_event",
    "error_object",
    "error_text",
    "web_page",
    "long_length",
]
FAULTS = st.one_of(
    st.builds(
        Fault,
        st.sampled_from(PASSING_FAULTS),
        times=st.sampled_from([1, 2, 3, 6, 20]),
        share=st.sampled_from([0, 0.3, 0.9, 1]),
        where=st.sampled_from([None, "with", "without"]),
    ),
    st.builds(
        Fault,
        st.just("status"),
        status=st.sampled_from([400, 401, 408, 425, 429, 499, 500, 503]),
        times=st.sampled_from([1, 3]),
        where=st.sampled_from([None, "with", "without"]),
    ),
    # Days that cannot be had: the run ends there, within the look-back or after it.
    st.builds(
        Fault, st.just("status"), status=st.just(403), day=st.integers(-3, 0), times=st.none()
    ),
    st.just(Fault("refuse_where", times=None)),
)
DATES = st.sampled_from(
    [
        ("true", 0),
        ("ahead", 180),
        ("ahead", 20),
        ("behind", 180),
        ("jumping", 120),
        ("missing", 0),
        ("unreadable", 0),
        ("year_1", 0),
    ]
)
WIDTHS = st.sampled_from([None, None, 30, 45])

# What an answer must hold are some events that are known; of other modes it holds none of them.
LEAVES_OUT_SOME = {"half"}
EVERYTHING = (
    'number(properties["mp_processing_time_ms"]) > 0 '
    'or not defined(properties["mp_processing_time_ms"])'
)


class Project(RuleBasedStateMachine):
    """A project into which events come, and which is exported again and again."""

    @initialize(
        zone=st.sampled_from(sorted(ZONES)),
        history_days=st.sampled_from([3, 3, 1100]),
        delay_minutes=st.sampled_from([0, 15, 60]),
        sweep_days=st.sampled_from([0, 1, 7, 7]),
        proof_days=st.sampled_from([1, 7]),
        stamps=st.sampled_from(["milliseconds"] * 8 + ["text", "seconds", "zero", "missing"]),
    )
    def set_up(self, *, zone, history_days, delay_minutes, sweep_days, proof_days, stamps):
        self.start = ZONES[zone] - history_days * DAY
        self.zone = None if zone == "UTC" else ZoneInfo(zone)
        self.delay = delay_minutes * MINUTE
        self.sweep_days = sweep_days
        self.honest = replace(HONEST, stamps=stamps)
        self.clock = SandboxClock.fixed(ZONES[zone])
        self.sandbox = Sandbox(
            [],
            clock=self.clock,
            timezone=None if zone == "UTC" else zone,
            behaviour=self.honest,
        )
        self.sandbox.start()
        self.machine_off = timedelta()
        self.widths = [1, 3, 30] if history_days == 3 else [30, 366]
        self.settings = {
            "start_date": self.start.isoformat(),
            "lookback_days": LOOKBACK_DAYS,
            "late_sweep_days": sweep_days,
            "filter_proof_days": proof_days,
            "processing_delay_minutes": delay_minutes,
            "project_timezone": None if zone == "UTC" else zone,
        }
        self.state = None
        self.events = {}
        self.properties = {}
        self.written = set()
        # Left out by a filter that lied only after it had proven itself, and gave all of what is
        # known to be there: nobody can know of them, for as long as that is so.
        self.unknowable = set()
        # Such of which the filter has proven itself again since.
        self.given_up = set()
        # The others, when it was found out: the next run is to bring them.
        self.owed = set()
        self.count = 0
        self.last_good_run = self.clock.now()

    def teardown(self):
        if hasattr(self, "sandbox"):
            self.sandbox.stop()

    # What happens in the project.

    @rule(
        ages=st.lists(
            st.one_of(
                st.timedeltas(timedelta(), timedelta(hours=2)),
                st.timedeltas(timedelta(), LOOKBACK_DAYS * DAY + timedelta(hours=6)),
                # At the borders of days.
                st.sampled_from([timedelta(0), SECOND, DAY, DAY - SECOND, DAY + SECOND]),
                st.timedeltas(timedelta(), 1100 * DAY),
            ),
            min_size=1,
            max_size=8,
        ),
        shown_after=st.floats(0, 1),
        copies=st.sampled_from([1, 1, 2]),
        kind=st.sampled_from(["usual", "usual", "usual", "unstamped", "unidentified"]),
        at_midnight=st.booleans(),
    )
    def events_come_in(self, ages, shown_after, copies, kind, at_midnight):
        """Processed now, after they happened, and shown a little later."""
        now = self.clock.now()
        for age in ages:
            at = max(self.start, now - age).replace(microsecond=0)
            if at_midnight:
                local = at.astimezone(self.zone or UTC)
                midnight = local.replace(hour=0, minute=0, second=0).astimezone(UTC)
                # Where clocks were set, the start is no midnight; what lies before it is not asked.
                at = max(self.start, midnight)
            self.add_event(at, shown_after * max(self.delay - SECOND, timedelta()), kind, copies)

    def add_event(self, at, shown_after=timedelta(), kind="usual", copies=1):
        self.count += 1
        processed = self.clock.now()
        # Only users whose events can be told may be merged: the others' ids change with all else.
        identity = (
            {"number": self.count, "distinct_id": "nobody"}
            if kind == "unidentified"
            else {"insert_id": f"{self.count}", "distinct_id": f"u{self.count % 2}"}
        )
        event = Event.at(
            at, zone=self.zone, processed=processed, stamped=kind != "unstamped", **identity
        )
        shown_ms = event.processed_ms + shown_after // timedelta(milliseconds=1)
        event = Event(event.head, event.time_ms, event.tail, shown_ms)
        self.sandbox.add([event] * copies)
        name, truth = fact(event, processed, self.zone, self.honest)
        self.events[name] = truth
        self.properties[name] = json.loads(self.honest.exported(event.line()))["properties"]

    @rule(
        by=st.one_of(
            st.timedeltas(SECOND, timedelta(hours=3)),
            st.timedeltas(SECOND, 3 * DAY),
            st.sampled_from([15 * MINUTE, DAY, 8 * DAY, 40 * DAY]),
        ),
        to_midnight=st.booleans(),
    )
    def time_passes(self, by, to_midnight):
        now = (self.clock.now() + by).replace(microsecond=0)
        if to_midnight:
            local = (now + DAY).astimezone(self.zone or UTC)
            now = local.replace(hour=0, minute=0, second=0).astimezone(UTC)
        self.clock.set(now)

    @rule(
        where=st.sampled_from(sorted(WHERE_MODES)),
        date=DATES,
        widest_days=WIDTHS,
        is_merged=st.booleans(),
        machine_off=st.sampled_from([0, 0, 0, 60, -60, 4320]),
    )
    def the_service_changes_its_ways(self, where, date, widest_days, is_merged, machine_off):
        # Two clocks that are wrong in the same way nobody can tell.
        wrong = date[0] != "true"
        self.machine_off = timedelta() if wrong else machine_off * MINUTE
        self.sandbox.behaviour = replace(
            self.honest,
            where=where,
            date=date[0],
            date_minutes=date[1],
            widest_days=widest_days,
            merges=(("u1", "one"),) if is_merged else (),
        )

    @rule()
    def the_service_is_honest_again(self):
        self.machine_off = timedelta()
        self.sandbox.behaviour = replace(self.honest, merges=self.sandbox.behaviour.merges)

    # Runs.

    @rule()
    def run_finishes(self):
        got = self.run()
        assert got.error is None
        self.check_nothing_is_missing()

    @rule(faults=st.lists(FAULTS, min_size=1, max_size=4))
    def run_meets_faults(self, faults):
        self.sandbox.add_faults(*faults)
        got = self.run()
        self.sandbox.clear_faults()
        if got.error is None:
            self.check_nothing_is_missing()

    @rule(after=st.one_of(st.integers(0, 12_000), st.integers(2_000, 5_000)))
    def run_is_killed(self, after):
        self.run(kill_after=after)

    @rule(share=st.sampled_from([0, 0.1, 0.5, 0.9, 1]), by_day=st.booleans())
    def run_has_an_end(self, share, by_day):
        """Somewhere between what is done and now, or at the end of a day there."""
        done = self.bookmark()
        end = (done + share * (self.clock.now() - done)).replace(microsecond=0)
        end = end.astimezone(self.zone or UTC)
        self.run(end_date=end.date().isoformat() if by_day else end.isoformat())

    @precondition(lambda self: self.bookmark() > self.start)
    @rule(days=st.integers(1, 3))
    def run_ends_before_the_bookmark(self, days):
        self.run(end_date=max(self.start, self.bookmark() - days * DAY).isoformat())

    @rule()
    def all_comes_to_rest(self):
        """The service is honest for a while: then everything that is shown has come out."""
        self.the_service_is_honest_again()
        local = (self.clock.now() + DAY).astimezone(self.zone or UTC)
        self.clock.set(local.replace(hour=9, minute=0, second=0).astimezone(UTC))
        for pause in (self.delay + 10 * MINUTE, 2 * self.delay + 10 * MINUTE, 8 * DAY, 2 * DAY):
            # On the bookmark's day, on either side of the watermark: the filter can be tried.
            self.add_event(self.clock.now().replace(microsecond=0))
            # By a bound that is up to four minutes before the watermark.
            self.clock.advance(pause - self.delay - 5 * MINUTE)
            self.add_event(self.clock.now().replace(microsecond=0))
            self.clock.advance(self.delay + 5 * MINUTE)
            # So wide that the hour's quota is enough for all that is due.
            assert self.run(max_window_days=366).error is None
        if self.sweep_days and self.has_usable_stamps():
            assert proof_age(self.state, self.clock.now()) <= 2 * DAY + MINUTE
            self.check_sweeps()
            reached = set(self.events)
        else:
            reached = {name for name, event in self.events.items() if self.is_due(event)}
        assert reached - self.written - self.unknowable - self.given_up == set()

    def run(self, **settings):
        before = self.state
        width = self.widths[self.count % len(self.widths)]
        settings = {
            "max_window_days": width,
            "max_concurrent_queries": 1 + self.count % 5,
        } | settings
        settings |= self.settings
        # Who reads the responses makes no difference.
        with hasty(), read_by_workers(1 + self.count // 2 % 2):
            got = run_tap(self.sandbox, before, machine_off=self.machine_off, **settings)
        self.state = got.state(before)
        self.check_repeats(got, before)
        self.written |= got.ids.keys()
        self.note_what_nobody_can_know(before)
        if got.error is None and got.states and "lookback_from" not in entry_of(self.state):
            self.owed.clear()
        self.check_states(got, before)
        # Nothing comes in at the very time of a run: of that no clock could tell.
        self.clock.advance(SECOND)
        return got

    def bookmark(self):
        """The start when there is no state yet."""
        if self.state is None:
            return self.start
        return instant(entry_of(self.state)["replication_key_value"])

    def note_what_nobody_can_know(self, before):
        """Late events that a filter leaves out, not all, which was honest when it was tried."""
        if proof_of(self.state) not in {None, proof_of(before)}:
            self.given_up |= self.unknowable
            self.unknowable.clear()
        self.note_left_out(before)
        self.owed -= self.unknowable
        if self.state != before and entry_of(self.state).get("lookback_from"):
            self.owed |= self.unknowable
            self.unknowable.clear()

    def note_left_out(self, before):
        mode = self.sandbox.behaviour.where
        if before is None or mode not in LEAVES_OUT_SOME:
            return
        if (
            proof_age(before, self.clock.now()) is None
            and proof_age(self.state, self.clock.now()) is None
        ):
            return
        passes = WHERE_MODES[mode].read(EVERYTHING, 0)
        self.unknowable |= {
            name
            for name, event in self.events.items()
            if event.shown <= self.clock.now() and not passes(self.properties[name])
        } - self.written

    # The laws.

    @invariant()
    def what_was_written_is_there(self):
        if hasattr(self, "sandbox"):
            assert self.written <= self.events.keys()

    def check_repeats(self, got, before):
        """No event of an earlier run, except for those of the margin; none twice in one run."""
        for name, times in got.ids.items():
            event = self.events[name]
            if event.is_identified:
                assert times == 1
            if before is not None and name in self.written and self.has_usable_stamps():
                assert may_come_again(before, event, self.zone)

    def check_states(self, got, before):
        """Each state keeps its word: what it says was seen has come out before it."""
        states = [] if before is None else [before]
        states += got.states
        values = [instant(entry_of(state)["replication_key_value"]) for state in states]
        assert values == sorted(values)
        if self.machine_off <= timedelta():
            assert not got.states or values[-1] <= self.clock.now()
        for state in got.states[-1:]:
            assert_small(state)
            missing = {
                name
                for name, event in self.events.items()
                if name not in self.written and is_promised(state, event, self.zone)
            }
            assert missing - self.unknowable - self.given_up == set()

    def check_nothing_is_missing(self):
        """What the look-back reaches has come out, if the clocks told the time."""
        behaviour = self.sandbox.behaviour
        if behaviour.date not in {"true", "ahead", "missing", "unreadable"}:
            return
        if self.machine_off < timedelta():
            return
        due = {name for name, event in self.events.items() if self.is_due(event)}
        assert due - self.written - self.unknowable - self.given_up - self.owed == set()

    def check_sweeps(self):
        """Every day was asked for late events within so many days."""
        now = self.clock.now()
        day = self.start.astimezone(self.zone or UTC).date()
        while day < now.date():
            mark = watermark_of(self.state, day)
            assert mark is not None
            assert now - mark <= self.sweep_days * DAY + self.delay + MINUTE
            day += DAY

    def is_due(self, event):
        """Whether the look-back reached an event when it came in."""
        return (
            event.shown <= self.clock.now() - SECOND
            and event.shown - event.at <= LOOKBACK_DAYS * DAY
        )

    def has_usable_stamps(self):
        return self.honest.stamps == "milliseconds"


EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "0"))

TestProject = pytest.mark.slow(Project.TestCase)
TestProject.settings = settings(
    max_examples=EXAMPLES or 25,
    stateful_step_count=18 if EXAMPLES else 14,
    deadline=None,
    # Each step of an example is a run or so: to shrink one takes longer than a test may.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # The same examples each time in the whole suite; a long run looks for others.
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
