"""The check: a few small queries, and what they tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import (
    AccessError,
    AuthenticationError,
    DayError,
    ExportError,
    LongPauseError,
    NotFoundError,
    PlanError,
    RejectedQueryError,
)
from tap_mixpanel_export.export.check.advice import (
    EXCLUDED,
    NAMES,
    ZONE,
    loader_findings,
    names_finding,
    zone_finding,
)
from tap_mixpanel_export.export.check.filter_trial import LATE, try_filter
from tap_mixpanel_export.export.check.finding import note, ok, problem
from tap_mixpanel_export.export.check.machine import (
    CONNECTION,
    clock_finding,
    connection_finding,
    disk_finding,
)
from tap_mixpanel_export.export.check.sample import ProofDay, Sample
from tap_mixpanel_export.export.inquiry import (
    Inquiry,
    NoQueryLeftError,
    QuotaUsedUpError,
    days_to_ask,
)
from tap_mixpanel_export.export.plan.planning import imagined_run
from tap_mixpanel_export.sync.forecast import UsualDay
from tap_mixpanel_export.timezones import DayRange, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config import ExportSettings
    from tap_mixpanel_export.export.check.finding import Finding
    from tap_mixpanel_export.export.inquiry import Reply

MOST_QUERIES = 6
"""How many queries a check sends at most."""

ACCOUNT = "credentials"
PROJECT = "project"
REGION = "region"
WHERE = "where"
QUOTA = "quota"

_MOST_BYTES = 8 * 1024 * 1024
_SAMPLED_EVENTS = 1000

# What a refusal is about.
_TOPICS: tuple[tuple[type[ExportError], str], ...] = (
    (AuthenticationError, ACCOUNT),
    (PlanError, PROJECT),
    (AccessError, PROJECT),
    (NotFoundError, REGION),
    (DayError, ZONE),
    (QuotaUsedUpError, QUOTA),
    (LongPauseError, QUOTA),
)


@dataclass(slots=True)
class _Day:
    """A day's answer."""

    days: DayRange
    sample: Sample
    proof: ProofDay
    reply: Reply


class Checker:
    """Checks settings against the service.

    Args:
        settings: Checked by themselves already.
        quota: The project's.
        addresses: The API's address in each region.
    """

    def __init__(
        self, settings: ExportSettings, quota: Quota, addresses: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._addresses = addresses
        self._quota = quota
        endpoint = settings.endpoint
        if settings.api_url is None:
            endpoint = replace(endpoint, url=addresses[settings.region])
        self._url = endpoint.url
        self.inquiry = Inquiry(endpoint, quota, most_queries=MOST_QUERIES, most_bytes=_MOST_BYTES)
        self._day, self._month = days_to_ask(settings)
        self._where = settings.where

    def run(self) -> Iterator[Finding]:
        """Look at everything, as far as the service lets.

        Yields:
            Findings, one by one as they come up.
        """
        try:
            day = self._ask_day(self._day)
        except RejectedQueryError as error:
            if self._where is None:
                yield problem(NAMES if self._settings.event_names else CONNECTION, str(error))
                return
            # Go on without the expression that the service does not take.
            yield problem(WHERE, str(error))
            self._where = None
            try:
                day = self._ask_day(self._day)
            except ExportError as another:
                yield from self._after_error(another)
                return
        except ExportError as error:
            yield from self._after_error(error)
            return
        yield from self._go_on(day)

    def _go_on(self, day: _Day) -> Iterator[Finding]:
        """What can be said when the service grants exports."""
        yield from self._reached()
        if day.sample.malformed and not day.sample.events:
            yield problem(
                CONNECTION,
                f"the answer has {day.sample.malformed:,} lines and no event: an error in words, "
                "or a web page of something on the way (a proxy?). Try again, as runs do by "
                "themselves",
            )
            yield self._disk(None)
            return
        try:
            if day.sample.events:
                yield ok(PROJECT, f"{self._project} has events on {day.days}")
                yield from self._check_names(day)
            else:
                found = yield from self._look_further(day)
                if found is None:
                    yield self._disk(None)
                    return
                day = found
            yield from self._look_at(day)
        except NoQueryLeftError:
            yield note(
                QUOTA, f"{MOST_QUERIES} queries were sent: the rest is left for a run to say"
            )
        except ExportError as error:
            yield problem(_topic(error), str(error))

    def _look_at(self, day: _Day) -> Iterator[Finding]:
        sample, settings = day.sample, self._settings
        if sample.malformed:
            yield note(
                "lines",
                f"{sample.malformed:,} of {sample.malformed + sample.events:,} lines of {day.days} "
                "are no events: a run fails on them; set diagnostics_dir to keep them and go on",
            )
        yield zone_finding(sample, settings, self.inquiry.clock.present)
        if self._where is not None:
            yield ok(WHERE, f"it lets {sample.events:,} events of {day.days} through")
        if day.reply.is_cut:
            yield note(LATE, f"{day.days} has too many events to try the filter on; a run does it")
        else:
            digest = day.proof.digest()
            yield try_filter(self.inquiry, day.days, digest, self._where, settings.event_names)
        yield self._disk(day)
        yield from loader_findings(sample)

    def _reached(self) -> Iterator[Finding]:
        yield connection_finding(self._url)
        yield clock_finding(self.inquiry.clock)
        yield ok(ACCOUNT, f"Mixpanel takes the {self._settings.endpoint.credentials.kind}")

    def _after_error(self, error: ExportError) -> Iterator[Finding]:
        """What can be said when the first query brings none."""
        topic = _topic(error)
        if self.inquiry.clock.is_known:
            yield connection_finding(self._url)
            yield clock_finding(self.inquiry.clock)
        if topic == REGION and (place := self._place_of_data()) is not None:
            yield problem(REGION, f"{error}. {self._set_region(place)}")
        else:
            yield problem(topic, str(error))
        yield self._disk(None)

    def _ask_day(self, days: DayRange) -> _Day:
        """Ask for a day as a run would."""
        inquiry, event_names = self.inquiry, self._settings.event_names
        delay = self._settings.span(None).delay
        sample = self._new_sample()
        proof = ProofDay(sample, lambda: to_milliseconds(inquiry.clock.present - delay))
        reply = inquiry.ask(days, proof.take, where=self._where, event_names=event_names)
        return _Day(days, sample, proof, reply)

    def _sample(
        self,
        days: DayRange,
        where: str | None = None,
        event_names: tuple[str, ...] = (),
        limit: int = _SAMPLED_EVENTS,
    ) -> Sample:
        sample = self._new_sample()
        self.inquiry.ask(days, sample.take, where=where, event_names=event_names, limit=limit)
        return sample

    def _new_sample(self) -> Sample:
        return Sample(self._settings.zone, self._settings.time_in_ms)

    def _check_names(self, day: _Day) -> Iterator[Finding]:
        """Whether the names of the settings occur."""
        seen = day.sample.names
        if asked := self._settings.event_names:
            missing = self._missing(seen)
            known = self._sample(day.days).names if missing else ()
            yield names_finding(missing, known, len(asked), f"from {self._month}")
        elif excluded := self._settings.exclude_event_names:
            missing = set(excluded) - seen.keys()
            yield names_finding(missing, seen, len(excluded), f"on {day.days}", EXCLUDED)

    def _missing(self, seen: Collection[str]) -> set[str]:
        """The names of `event_names` that do not occur in the month."""
        missing = set(self._settings.event_names).difference(seen)
        if missing:
            rare = self._sample(self._month, event_names=tuple(sorted(missing)))
            missing -= rare.names.keys()
        return missing

    def _look_further(self, day: _Day) -> Generator[Finding, None, _Day | None]:
        """Find out why a day has no events.

        Returns:
            Another day, that has some; None when there is none.
        """
        settings, month = self._settings, self._month
        others = self._sample(month)
        if not others.events:
            yield from self._empty_project()
            return None
        yield ok(PROJECT, f"{self._project} has events from {month}")
        if settings.event_names:
            missing = self._missing(others.names)
            yield names_finding(missing, others.names, len(settings.event_names), f"from {month}")
            if missing == set(settings.event_names):
                return None
        if self._where is not None:
            some = self._sample(month, self._where, settings.event_names, limit=1)
            if not some.events:
                both = " together with event_names" if settings.event_names else ""
                yield problem(
                    WHERE,
                    f"it lets no event through{both} from {month}: compare the names of properties "
                    "and the types of values in it with those of an event",
                )
                return None
        busiest = DayRange(*[others.days.most_common(1)[0][0]] * 2)
        if busiest.first == day.days.first:
            return None
        return self._ask_day(busiest)

    def _empty_project(self) -> Iterator[Finding]:
        where = f"from {self._month} in region {self._settings.region}"
        place = self._place_of_data()
        if place is None:
            yield note(
                PROJECT,
                f"{self._project} has no events {where}: check project_id, region, start_date and "
                "end_date, unless it is new",
            )
        else:
            yield problem(
                REGION, f"{self._project} has no events {where}. {self._set_region(place)}"
            )

    def _place_of_data(self) -> str | None:
        """The region that has the project's events, of the others."""
        if self._settings.api_url is not None:
            return None
        for region, url in self._addresses.items():
            if region == self._settings.region or not self.inquiry.left:
                continue
            sample = self._new_sample()
            try:
                self.inquiry.ask(self._month, sample.take, limit=1, url=url)
            except ExportError:
                # Another region does not know the project, or cannot be reached: so it is not it.
                continue
            if sample.events:
                return region
        return None

    def _set_region(self, place: str) -> str:
        return f"Its data is in region {place}: set region to {place}"

    def _disk(self, day: _Day | None) -> Finding:
        concurrency = self._settings.max_concurrent_queries
        if day is None or not day.sample.events:
            return disk_finding(0, concurrency)
        sample = day.sample
        usual = UsualDay(sample.events, day.reply.received, sample.text_bytes)
        # Of a first run: later ones take less.
        run = imagined_run(self._settings, None, self._quota)
        return disk_finding(run.forecast(usual).disk_bytes, concurrency)

    @property
    def _project(self) -> str:
        number = self._settings.project_id
        return "the project" if number is None else f"project {number}"


def _topic(error: ExportError) -> str:
    return next((topic for kind, topic in _TOPICS if isinstance(error, kind)), CONNECTION)
