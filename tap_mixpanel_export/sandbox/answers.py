"""Answers other than an export: errors, as the API words them."""

from __future__ import annotations

import json

__all__ = ["ApiError"]


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status of the answer.
        text: What the answer says.
        retry_after: Value of the `Retry-After` header, if there is to be one.
    """

    def __init__(self, status: int, text: str, retry_after: str | None = None) -> None:
        super().__init__(f"{int(status)} {text}")
        self.status = int(status)
        self.text = text
        self.retry_after = retry_after

    def body(self, target: str) -> bytes:
        """Return the body of the answer.

        Args:
            target: Path and query of the request.
        """
        return json.dumps({"status": "error", "error": self.text, "request": target}).encode()
