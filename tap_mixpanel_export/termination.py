"""How a process of ours ends on a signal: with the code that shells expect, and no traceback.

Every command begins with `end_at_once`, while it imports and has nothing to tidy up, goes on with
`end_in_order` while it works, and returns to `end_at_once` when its work is done.

There is one state for the process, as there is one set of signal handlers.
"""

from __future__ import annotations

import os
import signal
import sys

# The real one's module would take half the time of the first imports.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# How long the reader of stdout gets to take the rest of a message. A target fails on half a line
# instead of ending in order; but one that reads nothing must not keep the run.
_MESSAGE_SECONDS = 2.0

# How long tidying up may take: closing downloads takes 2 s at most. `docker stop` kills after 10 s.
_TIDY_SECONDS = 6.0


def exit_code(signum: int) -> int:
    """What a shell shows for a process that ended by a signal."""
    return 128 + signum


def end_at_once() -> None:
    """From now on a signal ends the process on the spot."""
    _handle(lambda signum, _frame: os._exit(exit_code(signum)))


def end_in_order() -> None:
    """From now on a signal raises SystemExit, behind the message that is being written, if any.

    A second signal, or tidying up that does not end, ends the process on the spot: temporary files
    have no names, and locks end with the process.
    """
    _state.__init__()  # type: ignore[misc]
    _handle(_state.end)
    signal.signal(signal.SIGALRM, _state.give_up)
    sys.unraisablehook = _unraisable


def is_ending() -> bool:
    """Whether a signal has come that ends the process."""
    return _state.signum is not None


class WholeMessage:
    """A context in which a signal waits until a message is written, for as long as that is fair."""

    def __enter__(self) -> None:
        _state.writing = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _state.writing = False
        if _state.signum is not None and kind is None:
            _state.leave()


class _State:
    """What the handlers know.

    Attributes:
        signum: The signal that ends the process, if one has come.
        writing: Whether a message is being written.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.writing = False

    def end(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(exit_code(self.signum))
        self.signum = signum
        if not self.writing:
            self.leave()
        signal.setitimer(signal.ITIMER_REAL, _MESSAGE_SECONDS)

    def give_up(self, _signum: int, _frame: FrameType | None) -> None:
        if self.signum is None:
            return
        if not self.writing:
            os._exit(exit_code(self.signum))
        self.writing = False
        self.leave()

    def leave(self) -> None:
        signum = self.signum or 0
        signal.setitimer(signal.ITIMER_REAL, _TIDY_SECONDS)
        raise SystemExit(exit_code(signum))


_state = _State()


def _handle(handler: Any) -> None:
    for number in SIGNALS:
        # What is ignored from the start stays so: SIGHUP under `nohup`, SIGINT after a shell's `&`.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _unraisable(problem: Any) -> None:
    # A signal came in a destructor, where Python drops what is raised and prints a traceback of it.
    if not isinstance(problem.exc_value, SystemExit):
        sys.__unraisablehook__(problem)
