"""What can go wrong, as one tree; its classes say whether to try again.

::

    ExportError                      exit code 1, its text is the message for the user
    ├── SettingsError                refused before any request, all problems at once
    ├── StateError                   the state that was passed in cannot be understood
    ├── CatalogError                 the catalog that was passed in cannot be used
    ├── MapError                     a stream map failed on an event
    ├── RequestError                 the service refused: asking again gives the same answer
    │   ├── AuthenticationError      401, 400 "Unable to authenticate request"
    │   ├── PlanError                402
    │   ├── AccessError              403
    │   ├── NotFoundError            404
    │   ├── DayError                 400 "to_date cannot be later than today"
    │   └── RejectedQueryError       any other 4xx: `where`, `event_names`, …
    │       └── WideQueryError       400 to many days at once: fewer may pass
    ├── TransientError               try again: what came so far is incomplete
    │   ├── ServerError              5xx, and 4xx of proxies that pass
    │   ├── ConnectionFailedError    refused, reset, silent for too long, cut off
    │   ├── IncompleteExportError    truncated gzip, "terminated early", half a last line
    │   └── MalformedLinesError      lines that are no events; they may be there again
    ├── RateLimitedError             429: wait, then try again, as often as it takes
    ├── LongPauseError               the service asks to wait for longer than a run does
    ├── WindowError                  a window's tries are used up
    ├── ClockError                   no clock tells yet that what is to be read is all there
    ├── DiagnosticsError             more malformed lines than allowed
    ├── ThreadError                  the system starts no thread
    ├── WorkerError                  worker processes end again and again
    ├── OutputError                  stdout, a batch file or a temporary file cannot be written
    └── ReportError                  the files of `report_dir` cannot be written

No message holds a secret or anything of an event.
"""

from __future__ import annotations

PRINTABLE_CHARACTERS = 200
"""How much of a text of others a message shows: enough to know it, and no page of it."""


def printable(text: str, limit: int = PRINTABLE_CHARACTERS) -> str:
    r"""Make a text of others (the service's, a customer's names) fit for a terminal and a log.

    A terminal acts on control characters (a title, a colour, a cleared screen), and so does a
    reader on directions that change or blanks that are none.

    Args:
        text: The text.
        limit: Characters at most, escapes counted, with a mark where the rest was cut off.

    Returns:
        The text on one line, with escapes such as `\x1b` for what cannot be seen.
    """
    seen = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[: limit + 1]
    )
    return seen if len(seen) <= limit else f"{seen[: limit - 1]}…"


class ExportError(Exception):
    """Anything that ends a run with a message instead of a traceback."""


class SettingsError(ExportError):
    """One or more settings cannot be used.

    Args:
        problems: One sentence each, that names its setting.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("Settings refused:\n" + "\n".join(f"  - {p}" for p in problems))


class StateError(ExportError):
    """The state that was passed in cannot be understood."""


class CatalogError(ExportError):
    """The catalog that was passed in cannot be used."""


class MapError(ExportError):
    """A stream map or the flattening failed on an event, which the text does not quote."""


class RequestError(ExportError):
    """The service refused the request, and would refuse it again."""


class AuthenticationError(RequestError):
    """Wrong, expired or missing credentials."""


class PlanError(RequestError):
    """The project's plan does not include the export API (402)."""


class AccessError(RequestError):
    """The account has no access to the project (403)."""


class NotFoundError(RequestError):
    """There is no export API at this address (404)."""


class DayError(RequestError):
    """The request's days lie in the future of the project's time zone."""


class RejectedQueryError(RequestError):
    """The service does not take the query itself: a `where` that it cannot read, for example."""


class WideQueryError(RejectedQueryError):
    """The service does not take a query of so many days; it may take one of fewer."""


class TransientError(ExportError):
    """The download failed in a way that can pass.

    Args:
        message: What happened.
        retry_after: Seconds that the service asked to wait, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ServerError(TransientError):
    """5xx, or a status that proxies answer in its place."""


class ConnectionFailedError(TransientError):
    """The connection could not be made, was reset, cut off, or went silent."""


class IncompleteExportError(TransientError):
    """The answer said success, but is not whole."""


class MalformedLinesError(TransientError):
    """Lines that are no events, in an answer that is whole.

    Args:
        count: How many.
        reasons: How many by reason, in words that quote none.
    """

    def __init__(self, count: int, reasons: str) -> None:
        self.count = count
        self.reasons = reasons
        super().__init__(f"{count} malformed line(s) ({reasons})")

    def __reduce__(self) -> tuple[type[MalformedLinesError], tuple[int, str]]:
        # A worker process finds them.
        return type(self), (self.count, self.reasons)


class RateLimitedError(ExportError):
    """429.

    Args:
        retry_after: Seconds that the service asked to wait, if it said so.
    """

    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__("the project's rate limit is reached (429)")


class LongPauseError(ExportError):
    """The service asks to wait for longer than a run does; a later run goes on."""


class WindowError(ExportError):
    """The tries for some days are used up; the state is at the last finished window."""


class ClockError(ExportError):
    """No clock tells that all of what is to be read to its end has shown up; later one may."""


class DiagnosticsError(ExportError):
    """More malformed lines than `error_threshold_percent` allows, or no place to keep them."""


class ThreadError(ExportError):
    """The system starts no thread: memory or processes are limited."""


class WorkerError(ExportError):
    """Worker processes end again and again before their work is done."""


class OutputError(ExportError):
    """What the run writes cannot be written: the message names the place, and what to do."""


class ReportError(ExportError):
    """The files of `report_dir` cannot be written."""
