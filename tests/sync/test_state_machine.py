"""Whatever comes in, goes wrong and is cut off: nothing is lost, nothing comes twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from harness import DAY, UTC, facts, instant, run_tap
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

MARGIN = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
LOOKBACK_DAYS = 2

# Los Angeles sets its clocks on 2026-03-08 and 2026-11-01.
STARTS = {
    "UTC": datetime(2026, 3, 6, tzinfo=UTC),
    "America/Los_Angeles": datetime(2026, 3, 6, 8, tzinfo=UTC),
    "US/Pacific": datetime(2026, 10, 30, 7, tzinfo=UTC),
}

FAULTS = st.one_of(
    st.builds(
        Fault,
        st.sampled_from(
            [
                "reset",
                "reset_in_body",
                "truncated_chunk",
                "truncated_gzip",
                "terminated_early",
                "cut_last_line",
                "malformed_line",
                "split_event",
            ]
        ),
        times=st.sampled_from([1, 2, 3, 6, 20]),
        share=st.sampled_from([0, 0.3, 0.9, 1]),
        where=st.sampled_from([None, "with", "without"]),
    ),
    st.builds(
        Fault,
        st.just("status"),
        status=st.sampled_from([400, 401, 429, 500, 503]),
        times=st.sampled_from([1, 3]),
        where=st.sampled_from([None, "with", "without"]),
    ),
    # Days that cannot be had: the run ends there, within the look-back or after it.
    st.builds(
        Fault, st.just("status"), status=st.just(403), day=st.integers(-3, 0), times=st.none()
    ),
    st.just(Fault("refuse_where", times=None)),
)


class Project(RuleBasedStateMachine):
    """A project into which events come, and which is exported again and again."""

    @initialize(zone=st.sampled_from(sorted(STARTS)), max_window_days=st.sampled_from([1, 3, 30]))
    def set_up(self, zone, max_window_days):
        self.start = STARTS[zone]
        self.zone = None if zone == "UTC" else ZoneInfo(zone)
        self.clock = SandboxClock.fixed(self.start + 3 * DAY)
        self.sandbox = Sandbox([], clock=self.clock, timezone=None if zone == "UTC" else zone)
        self.sandbox.start()
        self.settings = {
            "start_date": self.start.isoformat(),
            "lookback_days": LOOKBACK_DAYS,
            "max_window_days": max_window_days,
            "project_timezone": None if zone == "UTC" else zone,
        }
        self.state = None
        self.written = set()
        # Events that the look-back reaches when they come in.
        self.due = set()
        self.count = 0

    def teardown(self):
        if hasattr(self, "sandbox"):
            self.sandbox.stop()

    @rule(
        ages=st.lists(
            st.one_of(
                st.timedeltas(timedelta(), timedelta(hours=2)),
                st.timedeltas(timedelta(), LOOKBACK_DAYS * DAY + timedelta(hours=6)),
                # At the borders of days.
                st.sampled_from([timedelta(0), SECOND, DAY, DAY - SECOND, DAY + SECOND]),
            ),
            min_size=1,
            max_size=8,
        ),
        shown_after=st.timedeltas(timedelta(), MARGIN - SECOND),
        copies=st.sampled_from([1, 1, 2]),
        kind=st.sampled_from(["usual", "usual", "usual", "unstamped", "unidentified"]),
        at_midnight=st.booleans(),
    )
    def events_come_in(self, ages, shown_after, copies, kind, at_midnight):
        """Processed now, after they happened, and shown a little later."""
        processed = self.clock.now()
        for age in ages:
            at = max(self.start, processed - age).replace(microsecond=0)
            if at_midnight:
                local = at.astimezone(self.zone or UTC)
                at = local.replace(hour=0, minute=0, second=0).astimezone(UTC)
            self.count += 1
            identity = (
                {"number": self.count} if kind == "unidentified" else {"insert_id": f"{self.count}"}
            )
            event = Event.at(
                at, zone=self.zone, processed=processed, stamped=kind != "unstamped", **identity
            )
            shown = Event(
                event.head,
                event.time_ms,
                event.tail,
                event.processed_ms + shown_after // timedelta(milliseconds=1),
            )
            self.sandbox.add([shown] * copies)
            name, _, exported, _ = facts(event.line(), self.zone or UTC)
            if processed - exported <= LOOKBACK_DAYS * DAY:
                self.due.add(name)

    @rule(
        by=st.one_of(
            st.timedeltas(SECOND, timedelta(hours=3)),
            st.timedeltas(SECOND, 3 * DAY),
            st.sampled_from([MARGIN, DAY]),
        ),
        to_midnight=st.booleans(),
    )
    def time_passes(self, by, to_midnight):
        now = (self.clock.now() + by).replace(microsecond=0)
        if to_midnight:
            local = (now + DAY).astimezone(self.zone or UTC)
            now = local.replace(hour=0, minute=0, second=0).astimezone(UTC)
        self.clock.set(now)

    @rule()
    def run_finishes(self):
        self.run()
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
        """Nothing moves: such a run does not see all that is late."""
        before = self.state
        self.run(end_date=max(self.start, self.bookmark() - days * DAY).isoformat())
        assert self.state == before

    @invariant()
    def what_was_written_is_there(self):
        if hasattr(self, "sandbox"):
            assert self.written <= {
                facts(line, self.zone or UTC)[0] for line in self.sandbox.visible()
            }

    def bookmark(self):
        """The start when there is no state yet."""
        if self.state is None:
            return self.start
        return instant(self.state["bookmarks"]["events"]["replication_key_value"])

    def run(self, **settings):
        before = self.state
        got = run_tap(self.sandbox, before, **self.settings, **settings)
        self.state = got.state(before)
        self.check_repeats(got, before)
        self.check_states(got, before)
        self.written |= got.ids.keys()
        return got

    def check_repeats(self, got, before):
        """No event of an earlier run, except for those of the margin; none twice in one run."""
        events = {facts(line, self.zone or UTC)[0]: line for line in self.sandbox.visible()}
        for name, times in got.ids.items():
            _, is_identified, at, processed = facts(events[name], self.zone or UTC)
            if is_identified:
                assert times == 1
            if before is None or processed is None:
                continue
            bookmark = before["bookmarks"]["events"]
            done = instant(bookmark["replication_key_value"])
            assert (
                at > done
                # A bookmark at the start of a day is excluded.
                or at == done == self.day_start(at)
                or processed > instant(bookmark["processed_before"])
            )

    def check_states(self, got, before):
        states = [] if before is None else [before["bookmarks"]["events"]]
        states += got.bookmarks
        for name in ("replication_key_value", "processed_before"):
            values = [instant(state[name]) for state in states]
            assert values == sorted(values)
            assert not values or values[-1] <= self.clock.now()

    def check_nothing_is_missing(self):
        shown = {facts(line, self.zone or UTC)[0] for line in self.sandbox.visible()}
        assert shown & self.due <= self.written

    def day_start(self, at):
        local = at.astimezone(self.zone or UTC)
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


TestProject = pytest.mark.slow(Project.TestCase)
TestProject.settings = settings(
    max_examples=30,
    stateful_step_count=14,
    deadline=None,
    # Each step of an example is a run or so: to shrink one takes longer than a test may.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
