"""Our commands as processes whose stdout somebody reads slowly, not at all, or never had."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import processes
import pytest
from harness import config_for, wait_for

from tap_mixpanel_export.termination import SIGNALS

if TYPE_CHECKING:
    from pathlib import Path

    from tap_mixpanel_export.sandbox import Sandbox

# What each command is started by; the installed scripts do the same.
PROGRAMS = {
    "tap-mixpanel-export": "main",
    "map-mixpanel-xdm": "map_mixpanel_xdm",
    "mixpanel-xdm": "mixpanel_xdm",
    "mixpanel-export": "mixpanel_export",
    "mixpanel-sandbox": "mixpanel_sandbox",
}

by_signal = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


def command(program: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """The command line that runs a program with this interpreter."""
    function = PROGRAMS[program]
    code = f"from tap_mixpanel_export.__main__ import {function}; {function}()"
    return [sys.executable, *options, "-c", code, *arguments]


def start(command_line: list[str], folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command whose temporary files are in `folder`/tmp."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), **options.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **options}
    return processes.start(command_line, env=environment, **pipes)


def tap_config(sandbox: Sandbox, folder: Path, **settings: Any) -> str:
    """The path of a config file for a run against a sandbox."""
    path = folder / "config.json"
    path.write_text(json.dumps(config_for(sandbox, **settings)))
    return str(path)


def unread(descriptor: int) -> int:
    """How many bytes wait in a pipe or socket to be read."""
    packed = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", packed)[0])


def wait_until_blocked(descriptor: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process has filled a pipe that nobody reads; False if it ended instead."""
    sizes = [0, -1]

    def is_settled() -> bool:
        sizes.append(unread(descriptor))
        # Full, and nothing is added any more: the writer waits.
        time.sleep(0.03)
        return process.poll() is not None or (sizes[-1] > 0 and sizes[-1] == sizes[-2])

    wait_for(is_settled)
    return process.poll() is None


def pause(process: subprocess.Popen[bytes]) -> None:
    """Do what a freezer, a debugger or Ctrl-Z and `fg` do."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    process.send_signal(signal.SIGCONT)
