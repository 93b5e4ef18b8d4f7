"""What the service says of an error, made fit to be shown."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from tap_mixpanel_export.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What is shorter is in any text, and no secret.
_SHORTEST_SECRET = 3
_STRINGS = re.compile(r'"((?:[^"\\]|\\.)+)"' + r"|'((?:[^'\\]|\\.)+)'")


def error_of(text: bytes) -> str | None:
    """The `error` of a JSON object such as `{"error": "…", "status": 0}`.

    Args:
        text: The object, on one or more lines.

    Returns:
        Its text, empty if it is none; None when the text is not such an object. An event is none,
        nor is what is left of one.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(value, dict)
        or "error" not in value
        or value.keys() & {"event", "properties"}
    ):
        return None
    error = value["error"]
    return error if isinstance(error, str) else ""


class Redactor:
    """Takes out of a service's text what a service may repeat of a request.

    Args:
        secrets: The credentials; in this order HTTP Basic sends them.
        where: The user's expression; its strings are names and values of properties.
        event_names: Those asked for.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        where: str | None = None,
        event_names: Iterable[str] = (),
    ) -> None:
        words = {*secrets, *event_names}
        words.add(base64.b64encode(":".join(secrets).encode()).decode())
        if where is not None:
            words.add(where)
            words.update(a or b for a, b in _STRINGS.findall(where))
        forms = {form(word) for word in words for form in (str, quote, quote_plus, _escaped)}
        usable = sorted((f for f in forms if len(f) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, usable))) if usable else None

    def show(self, text: str) -> str:
        """The text without them, on one bounded line."""
        return printable(text if self._pattern is None else self._pattern.sub("***", text))


def _escaped(word: str) -> str:
    return json.dumps(word)[1:-1]
