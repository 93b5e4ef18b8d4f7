from __future__ import annotations

import json

import pytest

from tap_mixpanel_export.records.event_names import EventNames


@pytest.mark.parametrize(
    "name", ["Sign up", 'a "quoted" name', "Søk\u2028", "\U0001f600", "back\\slash"]
)
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " :\t")])
def test_a_name_is_seen_however_it_is_written(name, is_ascii, separators):
    names = EventNames([name, "other"])
    line = json.dumps(
        {"event": name, "properties": {}}, ensure_ascii=is_ascii, separators=separators
    )
    names.look(b"{}\n" + line.encode() + b"\n")
    assert names.unseen == ["other"]


def test_another_case_or_blank_is_another_name():
    names = EventNames(["Sign up", "sign up", "Sign up "])
    names.look(b'{"event":"Sign up","properties":{}}\n' * 3)
    assert names.unseen == ["Sign up ", "sign up"]


def test_lines_that_are_no_events_tell_nothing():
    names = EventNames(["a"])
    names.look(b'{"event":5}\n{"event":"a\n{"event":"\\x"}\n\xff"event":"\xff"\n')
    assert names.unseen == ["a"]


def test_what_is_remembered_is_bounded():
    names = EventNames(["a"])
    for number in range(3000):
        names.look(b'{"event":"b%d"}' % number)
    assert len(names._spellings) == 1000
    names.look(b'{"event":"a"}')
    assert names.unseen == []
