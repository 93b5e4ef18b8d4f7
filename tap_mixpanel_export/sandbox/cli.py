"""`mixpanel-sandbox`: the sandbox around a command, as `xvfb-run` puts a display around one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tap_mixpanel_export.sandbox.behaviour import (
    DATE_MODES,
    STAMP_MODES,
    Behaviour,
    BehaviourError,
)
from tap_mixpanel_export.sandbox.clock import SandboxClock
from tap_mixpanel_export.sandbox.fault_kinds import KINDS
from tap_mixpanel_export.sandbox.faults import ScenarioError
from tap_mixpanel_export.sandbox.generator import Generated, generate
from tap_mixpanel_export.sandbox.limits import Limits
from tap_mixpanel_export.sandbox.sandbox import Sandbox
from tap_mixpanel_export.sandbox.scenario import Scenario, load_scenario
from tap_mixpanel_export.sandbox.where_modes import WHERE_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_NOT_FOUND = 127
_MOST_PORT = 65_535
_NOT_EXECUTABLE = 126
_BY_SIGNAL = 128
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# The terminal sends these to the whole foreground group by itself.
_FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT})
# Settings of the tap that would name a second credential, and a real one at that.
_HIDDEN = ("TAP_MIXPANEL_EXPORT_PROJECT_SECRET", "TAP_MIXPANEL_EXPORT_OAUTH_TOKEN")
_DIRECT = ("127.0.0.1", "localhost")

_DESCRIPTION = """\
Serve a stand-in for Mixpanel's Raw Event Export API on a loopback port: while
COMMAND runs, with the tap's settings in its environment, or until interrupted."""
_SCENARIO_HELP = """\
A scenario is a JSON list of objects with a `kind` and, each optional:
`request` (number from 0), `day` (YYYY-MM-DD, or an offset from today), `where`
(with or without), `times` (null: always), `status`, `retry_after`, `share`
(0 to 1), `seconds`, `lines`, `megabytes`, `text`. Or it is an object of such `faults` and a
`behaviour`, whose keys are those of --behave (`merges`: an object of old and new
distinct_ids). Kinds of faults, and what the server does:
{kinds}

--behave where=MODE: how `where` is read, for expressions on the processing stamp
{where}

--behave date=MODE: the `Date` header of answers (date_minutes=180)
{date}

--behave stamps=MODE: `mp_processing_time_ms` of events
{stamps}

--behave visible_after_minutes=N, visible_jitter_minutes=N: events show up in
exports so long after their processing stamp; widest_days=N: more days in one
query are refused (400); merges=OLD:NEW: that distinct_id is exported as NEW.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: The arguments; those of the process when missing.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # By hand, because versions of argparse differ in what a second `--`, meant for COMMAND, means.
    border = given.index("--") if "--" in given else len(given)
    options, command = _parser().parse_args(given[:border]), given[border + 1 :]
    try:
        sandbox = _sandbox(options)
        sandbox.start()
    except KeyboardInterrupt:
        return _BY_SIGNAL + signal.SIGINT
    except (ScenarioError, BehaviourError, OSError) as error:
        print(f"mixpanel-sandbox: {error}", file=sys.stderr)  # noqa: T201 - a command's own message
        return 1
    try:
        return _run(command, sandbox) if command else _serve(sandbox)
    finally:
        sandbox.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixpanel-sandbox",
        usage="%(prog)s [options] [-- COMMAND ...]",
        description=_DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_service_options(parser.add_argument)
    _add_event_options(parser.add_argument)
    return parser


def _add_service_options(add: Callable[..., object]) -> None:
    add("--now", type=_instant, metavar="TIME", help="time that the sandbox starts at (ISO 8601)")
    add(
        "--clock-rate", type=_rate, default=1.0, metavar="N", help="sandbox seconds per real second"
    )
    add(
        "--timezone",
        type=_zone,
        metavar="ZONE",
        help="zone of a project created before 2023 (default: UTC)",
    )
    add("--scenario", type=Path, metavar="FILE", help="file of faults, see below")
    add(
        "--behave",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="behave otherwise than documented, see below; may be repeated",
    )
    add(
        "--limits",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="60 queries an hour, 3 a second, 100 at once (default: on)",
    )
    add(
        "--port",
        type=_port,
        default=0,
        metavar="PORT",
        help="port to listen on (default: a free one)",
    )
    add("--log-requests", type=Path, metavar="FILE", help="append each request as a JSON line")


def _add_event_options(add: Callable[..., object]) -> None:
    add(
        "--late-arrivals",
        type=_count,
        default=0,
        metavar="N",
        help="so many more of the samples come in every day and happened long before",
    )
    add(
        "--late-days",
        type=_count,
        default=1000,
        metavar="D",
        help="how old the oldest of them are (1000)",
    )
    add("--hostile", action="store_true", help="add values that some real loaders refuse")
    add("--null-bytes", action="store_true", help="add U+0000, which PostgreSQL can't store")
    add(
        "--generate",
        type=_count,
        metavar="N",
        help="serve N generated events, not the samples",
    )
    add("--days", type=_count, default=7, metavar="D", help="days of the generated events (7)")
    add("--shape", choices=("wide", "adobe"), default="wide", help="shape of the generated events")


def _epilog() -> str:
    def table(rows: Iterable[tuple[str, str]]) -> str:
        return "\n".join(f"  {name:<20}{text}" for name, text in rows)

    return _SCENARIO_HELP.format(
        kinds=table((name, kind.description) for name, kind in KINDS.items()),
        where=table((name, mode.description) for name, mode in WHERE_MODES.items()),
        date=table((name, text) for name, (text, _) in DATE_MODES.items()),
        stamps=table((name, text) for name, (text, _) in STAMP_MODES.items()),
    )


def _sandbox(options: argparse.Namespace) -> Sandbox:
    clock = SandboxClock(options.now, rate=options.clock_rate)
    data: dict[str, Any] = {
        "hostile": options.hostile,
        "null_bytes": options.null_bytes,
        "late_arrivals": options.late_arrivals,
        "late_days": options.late_days,
    }
    if options.generate is not None:
        # Yesterday is over: everything generated is there at once.
        last_day = clock.now().date() - timedelta(days=1)
        what = Generated(options.generate, options.days, last_day, options.shape)
        data = {"events": [], "pieces": generate(what)}
    scenario = load_scenario(options.scenario) if options.scenario else Scenario()
    return Sandbox(
        **data,
        clock=clock,
        timezone=options.timezone,
        limits=Limits() if options.limits else None,
        faults=scenario.faults,
        behaviour=_behaviour(scenario.behaviour, options.behave),
        port=options.port,
        log_file=options.log_requests,
    )


def _behaviour(scenario: Mapping[str, Any], options: Sequence[str]) -> Behaviour:
    """Return what the scenario says, changed by the options."""
    entries = dict(scenario)
    for option in options:
        key, border, text = option.partition("=")
        if not border:
            raise BehaviourError(f"--behave {option}: not of the form KEY=VALUE")
        if key == "merges":
            old, _, new = text.partition(":")
            entries[key] = {**entries.get(key, {}), old: new}
        else:
            entries[key] = _number(text)
    try:
        return Behaviour.read(entries)
    except BehaviourError as error:
        raise BehaviourError(f"--behave: {error}") from error


def _number(text: str) -> float | str:
    """Return the number that a text says, or the text."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text


def _run(command: Sequence[str], sandbox: Sandbox) -> int:
    """Run a command in the sandbox and return its exit code, as a shell would."""
    try:
        process = subprocess.Popen(command, env=_environment(sandbox, os.environ))  # noqa: S603
    except FileNotFoundError:
        print(f"mixpanel-sandbox: {command[0]}: command not found", file=sys.stderr)  # noqa: T201
        return _NOT_FOUND
    except OSError as error:
        print(f"mixpanel-sandbox: {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return _NOT_EXECUTABLE

    def forward(number: int, _frame: object) -> None:
        if number in _FROM_TERMINAL and _in_foreground():
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)

    for number in _FORWARDED:
        # What was ignored from the start (nohup) stays so, here and in the command.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    code = process.wait()
    return code if code >= 0 else _BY_SIGNAL - code


def _serve(sandbox: Sandbox) -> int:
    """Serve until interrupted."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    for name, value in sandbox.environment.items():
        print(f"{name}={value}")  # noqa: T201 - for `export $(...)`, or to be copied
    sys.stdout.flush()
    ended.wait()
    return 0


def _environment(sandbox: Sandbox, inherited: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in inherited.items() if name not in _HIDDEN}
    environment.update(sandbox.environment)
    # A proxy can't reach the loopback of this machine. Programs differ in the spelling they read.
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in inherited.get(name, "").split(",") if host]
        environment[name] = ",".join([*hosts, *(host for host in _DIRECT if host not in hosts)])
    return environment


def _in_foreground() -> bool:
    """Say whether a key at the terminal has reached the command by itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _instant(text: str) -> datetime:
    # Python 3.10 does not read the `Z` itself.
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time") from error
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return rate


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(f"there is no zone {text!r}") from error
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
