from __future__ import annotations

import io
import json
import sys
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from singer_sdk.singerlib.messages import RecordMessage, StateMessage

from tap_mixpanel_export.output.writer import MessageWriter


@pytest.fixture
def writer():
    return MessageWriter()


def put_in_place_of_stdout(monkeypatch, binary):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(binary, encoding="utf-8"))


def test_blocks_are_written_as_they_are_and_at_once(writer, monkeypatch):
    binary = io.BytesIO()
    put_in_place_of_stdout(monkeypatch, binary)
    writer.write_lines('{"a":"ø\u2028"}\n'.encode())
    assert binary.getvalue() == '{"a":"ø\u2028"}\n'.encode()


def test_a_text_stream_without_bytes_will_do(writer, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    writer.write_lines("ø\n".encode())
    assert text.getvalue() == "ø\n"


def test_messages_are_those_of_singer_and_numbers_exact(writer, monkeypatch):
    binary = io.BytesIO()
    put_in_place_of_stdout(monkeypatch, binary)
    extracted = datetime(2026, 11, 22, 14, 3, 11, tzinfo=timezone.utc)
    record = {"a": Decimal("1.0"), "b": Decimal("1E+400"), "c": "\u2028ø", "d": None}
    writer.write_message(RecordMessage("events", record, time_extracted=extracted))
    writer.write_message(StateMessage({"bookmarks": {}}))
    first, second = binary.getvalue().splitlines()
    message = json.loads(first, parse_float=Decimal)
    assert message == {
        "type": "RECORD",
        "stream": "events",
        "record": record,
        "time_extracted": "2026-11-22T14:03:11Z",
    }
    assert b'"a":1.0,' in first
    assert json.loads(second) == {"type": "STATE", "value": {"bookmarks": {}}}


def test_lone_surrogates_are_escaped(writer):
    text = writer.serialize_message(RecordMessage("events", {"a": "\ud800 half"}))
    assert json.loads(text)["record"] == {"a": "\ud800 half"}
    text.encode()


@pytest.mark.parametrize("number", [10**19, -(10**19), 10**30])
def test_integers_beyond_64_bits_are_kept(writer, number):
    text = writer.serialize_message(RecordMessage("events", {"a": number}))
    assert json.loads(text)["record"] == {"a": number}
