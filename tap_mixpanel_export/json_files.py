"""JSON files that a command line names: what is wrong with one is told in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tap_mixpanel_export.errors import ExportError

# What the kinds of errors in a state mostly come from.
_STATE_HINTS = {
    "Extra data": ". A target writes a line for each state: keep the last one (tail -n 1)",
    "Expecting value": ". A target that is ended early may leave an empty one: use that before it",
}


def read_json_object(option: str, path: Path | str) -> Any:
    """Read a file that holds a JSON object; a state of Airbyte is a list of them.

    Args:
        option: What names it, for messages.
        path: The file.

    Raises:
        ExportError: It cannot be read, or does not.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ExportError(f"{option} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{option} {path} is not UTF-8") from error
    except json.JSONDecodeError as error:
        # The position is enough: the text may hold secrets.
        hint = _STATE_HINTS.get(error.msg, "") if option == "--state" else ""
        raise ExportError(
            f"{option} {path} is not JSON: {error.msg} "
            f"(line {error.lineno}, column {error.colno}){hint}"
        ) from error
    parts = content if option == "--state" and isinstance(content, list) else [content]
    if not all(isinstance(part, dict) for part in parts):
        raise ExportError(f"{option} {path} is JSON, but not an object")
    return content
