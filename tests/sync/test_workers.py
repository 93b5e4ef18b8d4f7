"""Whoever reads the responses of a run, what it writes and says is the same."""

from __future__ import annotations

import logging
import re
from contextlib import nullcontext
from urllib.parse import urlsplit

import pytest
from five_days import WINDOWS, five_days, on_day, run
from harness import hasty
from test_faults import ENDING, HARMLESS, PASSING
from worker_threads import read_by_processes, read_by_workers

from tap_mixpanel_export.sandbox import Fault

FAULTS = {
    **PASSING,
    **HARMLESS,
    **{name: fault for name, (fault, _, _) in ENDING.items()},
}
# How often it is tried, or what the system says of it, depends on how busy the machine is.
UNSTEADY = {"refused", "reset", "reset in the body", "reset before the body"}
# What is another one in each run.
OWN = re.compile(r'"durationSeconds":[\d.]+|waiting [\d.]+ s|\d{4}-\d\d-\d\d \d\d:\d\d|\d\d:\d\d')


@pytest.fixture
def outcome(caplog):
    """Runs over five days, one query after the other: all that they write, say and ask."""

    def run_once(*faults, by=None, **settings):
        caplog.clear()
        with caplog.at_level(logging.INFO), five_days() as sandbox, by or nullcontext(), hasty():
            sandbox.add_faults(*faults)
            got = run(sandbox, max_concurrent_queries=1, **settings)
            port = str(urlsplit(sandbox.api_url).port)
        # The time is that of this machine.
        output = re.sub(rb'"time_extracted":"[^"]*"', b"", got.output)
        said = [r.getMessage() for r in caplog.records if r.name.startswith("tap-mixpanel-export.")]
        told = [OWN.sub("", text.replace(port, "PORT")) for text in (str(got.error), *said)]
        asked = [(r.from_date, r.to_date, r.where is not None) for r in sandbox.requests]
        return output, type(got.error), told, asked

    return run_once


@pytest.mark.parametrize("name", FAULTS)
def test_a_worker_makes_the_same_of_every_fault(outcome, name):
    fault = on_day(FAULTS[name], WINDOWS["middle"])
    compared = 2 if name in UNSTEADY else None
    assert outcome(fault, by=read_by_workers())[:compared] == outcome(fault)[:compared]


@pytest.mark.slow
def test_a_process_makes_the_same_of_what_is_hard(outcome):
    faults = [Fault("malformed_line", day=WINDOWS["middle"]), Fault("truncated_gzip")]
    expected = outcome(*faults)
    assert outcome(*faults, by=read_by_processes()) == expected
    assert expected[1] is type(None)
