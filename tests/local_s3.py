"""An S3 on this machine: a server of moto's, whose memory is this process's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import moto.backends
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {"aws_access_key_id": "somebody", "aws_secret_access_key": "hush"}
REGION = "us-east-1"


@contextmanager
def local_s3() -> Iterator[str]:
    """Run a server for the time of the context; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def empty_s3(address: str) -> Iterator[Any]:
    """Empty the server, and make a client of it."""
    moto.backends.get_backend("s3").reset()
    client = boto3.client("s3", endpoint_url=address, region_name=REGION, **KEYS)
    try:
        yield client
    finally:
        client.close()
