"""What passes between a run and a worker arrives as it was sent."""

from __future__ import annotations

import os
import pickle
import socket
import tempfile
import threading
from contextlib import closing
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_mixpanel_export.api.incomplete import NotAnExportError
from tap_mixpanel_export.errors import IncompleteExportError, MalformedLinesError, OutputError
from tap_mixpanel_export.records.event_names import EventNames
from tap_mixpanel_export.records.redaction import Redaction
from tap_mixpanel_export.records.spool import ReceivedSpool, Spool
from tap_mixpanel_export.records.survey import Survey
from tap_mixpanel_export.sync import wire
from tap_mixpanel_export.sync.filter_proof import EventDigest


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield wire.Wire(here), wire.Wire(there)


@pytest.mark.parametrize("size", [0, 1, 5, 70_000, 5_000_000])
def test_messages_of_any_size_arrive(ends, size):
    here, there = ends
    payload = os.urandom(size)
    thread = threading.Thread(target=here.send, args=(wire.BYTES, payload))
    thread.start()
    assert there.receive() == (wire.BYTES, payload, None)
    thread.join()
    assert not there.has_message()


def test_a_file_arrives_though_its_sender_has_closed_it(ends):
    here, there = ends
    with tempfile.TemporaryFile() as file:
        file.write(b"text")
        file.flush()
        here.send(wire.RESULT, b"more", file.fileno())
    assert there.has_message()
    kind, payload, descriptor = there.receive()
    assert (kind, payload) == (wire.RESULT, b"more")
    assert not os.get_inheritable(descriptor)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        assert file.read() == b"text"


def test_an_end_that_is_gone_is_told_and_nobody_waits_for_it(ends):
    here, there = ends
    there.send(wire.READY)
    there.close()
    # What it has sent before arrives.
    assert here.receive()[0] == wire.READY
    for act in (here.receive, here.has_message, lambda: here.send(wire.BYTES, b"x" * 10**6)):
        with pytest.raises(wire.ConnectionLostError):
            act()


def test_who_waits_is_woken_up(ends):
    here, _ = ends
    told = []

    def wait():
        with pytest.raises(wire.ConnectionLostError):
            here.receive()
        told.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    here.interrupt()
    thread.join()
    assert told == [True]
    here.interrupt()


@pytest.mark.parametrize(
    "error",
    [
        IncompleteExportError("cut", 3.5),
        MalformedLinesError(3, "not JSON: 3"),
        NotAnExportError(b'{"error": "Sorry, a secret"}', has_events=True),
        OutputError("TMPDIR: full"),
    ],
)
def test_errors_arrive_with_all_they_say(error):
    got = wire.loads(wire.dumps(error))
    assert (type(got), str(got), vars(got)) == (type(error), str(error), vars(error))


def test_a_services_text_that_a_worker_has_met_is_shown_without_secrets():
    error = wire.loads(wire.dumps(NotAnExportError(b'{"error": "a secret"}', has_events=False)))
    shown = error.shown(lambda text: text.replace("secret", "***"))
    assert str(shown).endswith("an error of the service: a ***")


def test_mappings_that_nobody_may_change_arrive():
    with pytest.raises(TypeError):
        pickle.dumps(MappingProxyType({}))
    got = wire.loads(wire.dumps({"a": MappingProxyType({"b": 1})}))
    assert got == {"a": {"b": 1}}
    with pytest.raises(TypeError):
        got["a"]["c"] = 2


@given(
    blocks=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), max_size=5),
    memory=st.sampled_from([0, 50, 10_000]),
    level=st.sampled_from([None, 1]),
    data=st.data(),
)
def test_the_spool_of_another_process_reads_as_here(blocks, memory, level, data):
    count = sum(map(len, blocks))
    dropped = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    with Spool(level, memory) as spool:
        for block in blocks:
            spool.write(b"".join(b"%d\n" % n for n in block), len(block))
        spool.drop(dropped)
        contents, descriptor = spool.hand_over()
        assert memory or descriptor is not None
        # As the system does on its way.
        descriptor = None if descriptor is None else os.dup(descriptor)
        contents = wire.loads(wire.dumps(contents))
        expected = [line for records in spool.records() for line in records.lines()]
    with closing(ReceivedSpool(contents, descriptor)) as received:
        assert received.count == count
        assert [line for r in received.records() for line in r.lines()] == expected


PROPERTIES = b'{"a":1,"b":{"c":2},"d":"x"}'


def test_a_redaction_hides_the_same_elsewhere_and_takes_what_was_met_there():
    named = {"a": [("a",)], "b.c": [("b", "c")], "e": [("e",)]}
    here = Redaction([("a",)], [("b", "c"), ("e",)], b"salt", named)
    there = wire.loads(wire.dumps(here))
    assert there(PROPERTIES) == Redaction([("a",)], [("b", "c")], b"salt")(PROPERTIES)
    assert '"a", "b.c", "e"' in here.warning()
    here.note_met(there.met)
    assert 'event of these days has "e",' in here.warning()


def test_names_that_were_seen_elsewhere_are_seen():
    here = EventNames(["a", "b", "c"])
    there = wire.loads(wire.dumps(here))
    here.look(b'{"event":"a"}')
    there.look(b'{"event":"b"}')
    here.keep(there.unseen)
    assert here.unseen == ["c"]


def test_a_survey_elsewhere_goes_on_where_this_one_is():
    block = b'{"event":"a","properties":{"plan":1}}\n' * 150
    here = Survey(["time"])
    here.take(block)
    there = wire.loads(wire.dumps(here))
    there.take(block)
    assert there.sampled == 50
    here.add(there.sampled, there.unmapped)
    assert (here.sampled, here.unmapped.counts["plan"]) == (200, 200)


LINES = [
    b'{"event":"a","properties":{"mp_processing_time_ms":%d}}' % stamp for stamp in range(1, 30, 4)
] + [b'{"event":"a","properties":{}}', b"no event"]


@given(lines=st.lists(st.sampled_from(LINES), max_size=20), cut=st.integers(0, 20))
def test_digests_of_parts_add_up_to_that_of_the_whole(lines, cut):
    whole, part, rest = (EventDigest(5, 20) for _ in range(3))
    whole.take(b"\n".join(lines))
    part.take(b"\n".join(lines[:cut]))
    rest.take(b"\n".join(lines[cut:]))
    part.add(rest)
    assert part == whole
