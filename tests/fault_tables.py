"""Every kind of fault, by what a run does about it: each is one line here."""

from __future__ import annotations

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import Fault

ERROR = '{"error": "Unknown error\\u001b[0m", "status": 0}'
PAGE = "<!DOCTYPE html>\n<html>\n<title>Log in</title>\n</html>\n"

# What can pass. Each is tried again, and no record is lost or doubled.
PASSING = {
    "500": Fault("status", status=500),
    "502": Fault("status", status=502),
    "503": Fault("status", status=503),
    "504": Fault("status", status=504),
    "reset": Fault("reset"),
    "refused": Fault("refuse", seconds=0.02),
    "reset in the body": Fault("reset_in_body"),
    "reset before the body": Fault("reset_in_body", share=0),
    "truncated chunk": Fault("truncated_chunk"),
    "no final chunk": Fault("no_final_chunk"),
    "truncated gzip": Fault("truncated_gzip"),
    "gzip without its trailer": Fault("truncated_gzip", share=1),
    "nothing of the gzip": Fault("truncated_gzip", share=0),
    "corrupt gzip": Fault("corrupt_gzip"),
    "terminated early": Fault("terminated_early"),
    "export terminated early": Fault("terminated_early", text="export terminated early"),
    "terminated before the first": Fault("terminated_early", share=0),
    "terminated after the last": Fault("terminated_early", share=1),
    "last line cut off": Fault("cut_last_line"),
    "an error object at the end": Fault("error_object", share=1),
    "an error object in the middle, and nothing behind it": Fault("error_object"),
    "an error object only": Fault("error_object", share=0),
    "an error in words at the end": Fault("error_text"),
    "an error in words only": Fault("error_text", text="Bad Gateway\n", share=0),
    "a web page at the end": Fault("web_page", text=PAGE, share=1),
    "a web page only": Fault("web_page", share=0),
    "an unknown text at the end": Fault("terminated_early", text="?\n\n", share=1),
    "a length that is too short": Fault("short_length"),
    "a length that is too long": Fault("long_length"),
    "zeros without end": Fault("gzip_bomb", megabytes=70),
    "408": Fault("status", status=408),
    "409": Fault("status", status=409),
    "425": Fault("status", status=425),
    "499": Fault("status", status=499),
    "599": Fault("status", status=599),
    "503 with seconds": Fault("status", status=503, retry_after=0),
    "chunks end before they begin": Fault("empty_first_chunk"),
    "429": Fault("status", status=429),
    "429 of the hour": Fault(
        "status", status=429, text="too many export requests in the last hour"
    ),
    "429 with seconds": Fault("status", status=429, retry_after=7),
    "429 with a date": Fault("status", status=429, retry_after="Sun, 15 Mar 2026 12:00:09 GMT"),
    # What a retry shows to have been an accident.
    "a line that is not JSON": Fault("malformed_line"),
    "many lines that are not JSON": Fault("malformed_line", lines=20),
    "no event": Fault("no_event"),
    "no properties": Fault("no_properties"),
    "no time": Fault("no_time"),
    "not UTF-8": Fault("invalid_utf8"),
}

# What passes when the timeout has ended it.
SILENT = {
    "bytes that drip": Fault("drip_bytes", seconds=0.01),
    "headers that drip": Fault("drip_headers", seconds=0.1),
    "silent start": Fault("slow_start", seconds=60),
    "silent in the body": Fault("stall", seconds=60),
}

# What takes no second request.
HARMLESS = {
    "split event": Fault("split_event"),
    "events split at their starts": Fault("split_event", lines=10, share=0),
    "events split at their ends": Fault("split_event", lines=10, share=0.99),
    "all events split": Fault("split_event", lines=1000),
    "no date": Fault("no_date"),
    "wrong charset": Fault("wrong_charset"),
    "gzip however small": Fault("always_gzip"),
    "plain however large": Fault("never_gzip"),
    "no line end at the end": Fault("no_trailing_newline"),
    "drip": Fault("drip", seconds=0.001),
    "empty lines": Fault("empty_lines", lines=500_000),
}

# What ends the run.
ENDING = {
    "401": (Fault("status", status=401), errors.AuthenticationError, "service account"),
    "401 of a project secret": (
        Fault("status", status=401, text="Invalid API secret. Please check your settings"),
        errors.AuthenticationError,
        "expired",
    ),
    "400 of credentials": (
        Fault("status", status=400, text="Unable to authenticate request"),
        errors.AuthenticationError,
        "service account",
    ),
    "402": (Fault("status", status=402), errors.PlanError, "plan"),
    "403": (Fault("status", status=403), errors.AccessError, "role"),
    "404": (Fault("status", status=404), errors.NotFoundError, "region"),
    "400 of days": (
        Fault("status", status=400, text="to_date cannot be later than today"),
        errors.DayError,
        "project_timezone",
    ),
    "400 of the query": (
        Fault("status", status=400, text="Invalid where"),
        errors.RejectedQueryError,
        "it says: Invalid where",
    ),
    "407": (Fault("status", status=407), errors.RequestError, "proxy wants another login"),
    "414": (Fault("status", status=414), errors.RejectedQueryError, "too long"),
    "429 for days": (
        Fault("status", status=429, retry_after=7 * 86400),
        errors.LongPauseError,
        "a pause of 1 week (Retry-After), until ",
    ),
    "503 for years": (
        Fault("status", status=503, retry_after="Fri, 31 Dec 2077 23:59:59 GMT"),
        errors.LongPauseError,
        "weeks",
    ),
}
