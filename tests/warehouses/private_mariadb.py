"""A MariaDB server of a test's own: on a socket, with its own data, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian keeps its server off a user's path.
_PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"


def mariadb_server() -> str | None:
    """Find the server's program."""
    return shutil.which("mariadbd", path=_PATH)


@contextmanager
def private_mariadb() -> Iterator[str]:
    """Run a server for the time of the context, and tell its address for SQLAlchemy.

    Raises:
        RuntimeError: It did not start.
    """
    server = mariadb_server()
    assert server is not None
    # Sockets have short paths: not pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as name:
        folder = Path(name)
        own = ["--no-defaults", f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"]
        if os.geteuid() == 0:
            # It does not run as root.
            own.append("--user=mysql")
            shutil.chown(folder, "mysql")
        subprocess.run(
            ["mariadb-install-db", *own[:2], *own[3:], "--auth-root-authentication-method=normal"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                [
                    *(server, *own, "--skip-networking"),
                    # As MySQL 8, and Debian's own configuration, have it.
                    *("--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0"),
                ],
                stdout=log,
                stderr=log,
            )
        try:
            client = ["mariadb", "--no-defaults", "--user=root", own[2], "--batch", "--execute"]
            while _fails([*client, "SELECT 1"]):
                if running.poll() is not None:
                    raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
            subprocess.run([*client, "CREATE DATABASE mixpanel"], check=True)
            yield f"mysql+pymysql://root@localhost/mixpanel?unix_socket={folder / 'socket'}"
        finally:
            running.terminate()
            running.wait()


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode != 0
