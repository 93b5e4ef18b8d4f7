"""ClickHouse's HTTP interface, as far as loaders use it, before chDB: its engine as a library.

usage: chdb_server.py FOLDER; prints its port, and ends with its standard input.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from chdb import session

engine = session.Session(sys.argv[1])
one_at_a_time = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Runs a query of the address, of the body, or one that begins there and ends here."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.run_query("")

    def do_POST(self) -> None:
        self.run_query(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def run_query(self, body: str) -> None:
        options = parse_qs(urlsplit(self.path).query)
        query = "\n".join((*options.get("query", ()), body))
        shape = options.get("default_format", ["TabSeparated"])[0]
        try:
            with one_at_a_time:
                status, told = 200, engine.query(query, shape).bytes() or b""
        except Exception as error:  # noqa: BLE001 - all that it refuses is the client's to know
            status, told = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
sys.stdin.read()
