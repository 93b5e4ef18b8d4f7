"""Every byte to stdout, whatever it is: a pipe, a file, a socket, buffered, blocking or not.

Python's own objects do not see to that. With `PYTHONUNBUFFERED=1`, which images of containers set,
`sys.stdout.buffer` is the raw file, whose `write` may take a part and leaves the rest to the
caller; a buffered one gives up on a descriptor that does not block.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.termination import WholeMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

_TAKES_NOTHING = "stdout takes nothing more, and does not say why"

_whole_message = WholeMessage()


def write_to_stdout(*pieces: bytes | memoryview) -> int:
    """Write bytes to `sys.stdout`, all of them: one system call if the reader takes them.

    A signal that ends the process waits until they are written, see `termination`.

    Args:
        pieces: Together whole lines with their ends; not put together because they are large.

    Returns:
        How many bytes they have.

    Raises:
        OutputError: They cannot be written, or nobody reads any more. (Not BrokenPipeError: click,
            in whose calls all this happens, ends the process on it without a word.)
    """
    stdout: Any = sys.stdout
    if stdout is None:
        raise OutputError("stdout is closed: there is nowhere to write to")
    with _whole_message:
        descriptor = _descriptor(stdout)
        if descriptor is None:
            _write_to_object(stdout, pieces)
        else:
            # What was printed before comes before.
            stdout.flush()
            _write_to_descriptor(descriptor, pieces)
    return sum(map(len, pieces))


def is_mixed_with_log() -> bool:
    """Whether stdout and stderr are one pipe: no target reads that, but `meltano config test`."""
    try:
        ends = [os.fstat(stream.fileno()) for stream in (sys.stdout, sys.stderr)]
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(ends[0].st_mode) and os.path.samestat(*ends)


def replace_stdout() -> None:
    """Make what is printed arrive whole, too, by putting another stream in the place of stdout."""
    stdout = sys.stdout
    descriptor = None if stdout is None else _descriptor(stdout)
    if descriptor is None:
        return
    stdout.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_WholeWrites(descriptor, "w", closefd=False)),
        encoding=stdout.encoding,
        errors=stdout.errors,
        line_buffering=os.isatty(descriptor),
    )


class _WholeWrites(io.FileIO):
    """A file whose writes are whole."""

    def write(self, data: Buffer) -> int:
        piece = memoryview(data).cast("B")
        _write_to_descriptor(self.fileno(), (piece,))
        return len(piece)


def _descriptor(stdout: Any) -> int | None:
    try:
        number: int = stdout.fileno()
    except (AttributeError, OSError, ValueError):
        # A test, or a program that runs the tap as a library, has put another object there.
        return None
    return number


def _write_to_descriptor(descriptor: int, pieces: Iterable[bytes | memoryview]) -> None:
    rest = [memoryview(piece) for piece in pieces if len(piece)]
    while rest:
        try:
            count = os.writev(descriptor, rest)
        except BlockingIOError:
            # Whoever gave it to us has made it non-blocking; that is not ours to change.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
            continue
        except OSError as error:
            raise OutputError(_explanation(error)) from error
        if not count:
            raise OutputError(_TAKES_NOTHING)
        while rest and count >= len(rest[0]):
            count -= len(rest.pop(0))
        if count:
            rest[0] = rest[0][count:]


def _write_to_object(stdout: Any, pieces: Iterable[bytes | memoryview]) -> None:
    binary = getattr(stdout, "buffer", None)
    try:
        if binary is None:
            stdout.write(b"".join(pieces).decode())
            stdout.flush()
            return
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                count = binary.write(rest)
                if not count:
                    raise OutputError(_TAKES_NOTHING)
                rest = rest[count:]
        binary.flush()
    except OSError as error:
        raise OutputError(_explanation(error)) from error


def _explanation(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "stdout was closed by the program that reads it; the run ends"
    remedy = (
        "; make room where it is written to, and run again with the last state that was written"
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        else ""
    )
    return f"stdout: {error.strerror or error}{remedy}"
