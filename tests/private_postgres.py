"""A PostgreSQL server of a test's own: on loopback, with its own data, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "loader"


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: Where it listens on loopback.
        programs: Folder of its programs.
        user: Its superuser, let in without a password.
    """

    port: int
    programs: Path
    user: str = _USER

    def query(self, sql: str) -> list[str]:
        """Run a query and return its rows, columns parted by a bar."""
        done = subprocess.run(
            [
                *(self.programs / "psql", "--no-psqlrc", "--tuples-only", "--no-align"),
                *("--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}"),
                *("--dbname=postgres", f"--command={sql}"),
            ],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        )
        # Not splitlines(): U+2028 is no end of a row.
        return done.stdout.split("\n")[:-1]


def postgres_programs() -> Path | None:
    """Find PostgreSQL's programs; Debian keeps those of a server off the path."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    return max(_DEBIAN.glob("*/bin"), default=None)


@contextmanager
def private_postgres() -> Iterator[Postgres]:
    """Run a server for the time of the context.

    Raises:
        RuntimeError: PostgreSQL is not installed, or there is no user to run it as.
    """
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    # Sockets have short paths, and the server's user must get in: not pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        data = Path(folder, "data")
        user = _user_for_the_server()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, "-D", data, *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=300,
                cwd=folder,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                # Not the zone nor the language of whoever runs the tests.
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            )

        run("initdb", "--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--no-sync")
        port = _free_port()
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        )
        run("pg_ctl", "-w", "-l", str(Path(folder, "log")), "-o", options, "start")
        try:
            yield Postgres(port, programs)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def postgres_elsewhere() -> Iterator[Postgres | None]:
    """A server that is not in UTC, as most are not; None where PostgreSQL is not installed."""
    if postgres_programs() is None:
        yield None
        return
    with private_postgres() as running:
        # What depends on the zone shows in such a one only.
        running.query("ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
        running.query("SELECT pg_reload_conf()")
        yield running


def _user_for_the_server() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: then its own user runs it, or else nobody."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
