"""A text that is no export is told by its kind, and quoted only when it is an `error`."""

from __future__ import annotations

import pytest

from tap_mixpanel_export.api.incomplete import TAIL_BYTES, NotAnExportError, check_line
from tap_mixpanel_export.errors import IncompleteExportError, printable


@pytest.mark.parametrize(
    "line",
    [
        b"terminated early",
        b"export terminated early",
        b"terminated early\r",
        b'{"event":"a","properties":{"tim terminated early',
    ],
)
def test_the_services_own_words_tell_that_an_answer_is_not_whole(line):
    with pytest.raises(IncompleteExportError, match="ended the export early"):
        check_line(line)


@pytest.mark.parametrize("line", [b"", b"terminated", b"terminated early?", b'"terminated early"'])
def test_other_lines_do_not(line):
    check_line(line)


KINDS = {
    b'{"error": "Unknown error", "status": 0}': "an error of the service: Unknown error",
    b'{"error":"a\\u001b]0;x\\u0007b"}\n': r"an error of the service: a\x1b]0;x\x07b",
    b'{\n  "status": 0,\n  "error": "over\\nlines"\n}\n': r"an error of the service: over\nlines",
    b'oops\n{"error": "behind"}\n': "an error of the service: behind",
    b'{"error": {"code": 5}, "x": 1}': "an error object",
    b'{"error": null}': "an error object",
    b"<!DOCTYPE html>\n<title>Login</title>\n</html>\n": "a web page (of a proxy, or to log in?)",
    b"<html><body>hello": "a web page (of a proxy, or to log in?)",
    b" <?xml version='1.0'?><Error/>": "a web page (of a proxy, or to log in?)",
    b"Internal Server Error": "an error in words, such as `Internal Server Error`",
    b"502 Bad Gateway\n": "an error in words, such as `Internal Server Error`",
    b"upstream connect error or disconnect/reset before headers": "an error in words",
    b"terminated early": "the service ended the export early and said so in its text",
    b'{"event":"Bought","properties":{"email":"a@b': "a line that begins like an event and is none",
    b'{"event":"Bought","properties":{"error": 1': "a line that begins like an event and is none",
    b"lo hi": "a text of no known kind",
    b'"email":"a@b"}}': "a text of no known kind",
    b"[" * TAIL_BYTES: "a text of no known kind",
    b"\xff\xfe": "a text of no known kind",
    # What is left of an event is none of the service's errors.
    b'{"properties":{},"error":"a@b"}': "a line that begins like an event and is none",
}


@pytest.mark.parametrize("text", KINDS, ids=range(len(KINDS)))
@pytest.mark.parametrize("has_events", [True, False])
def test_what_came_in_place_of_events_is_told_by_its_kind(text, has_events):
    error = str(NotAnExportError(text, has_events, printable))
    assert KINDS[text] in error
    assert error.isprintable()
    assert "a@b" not in error
    assert ("behind its events" in error) is has_events


def test_the_services_text_is_shown_by_what_takes_secrets_out():
    error = NotAnExportError(
        b'{"error": "secret"}', has_events=False, show=lambda text: text.replace("secret", "***")
    )
    assert str(error).endswith("an error of the service: ***")
