"""Libraries that the SDK imports at its start, though a tap or mapper seldom needs them.

They take a fifth of a start: `joblib` is for the sinks of targets, `upath` for files of BATCH, JSON
paths for streams of JSON, `packaging` for `--about`, and `isoduration` and `rfc3987` for formats of
JSON Schema (`duration`, `uri`), which no setting has.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# The SDK does nothing with what it imports from these but to call it, in functions.
_CALLED = (
    *("joblib", "upath", "singer_sdk.helpers.jsonpath"),
    *("packaging.specifiers", "packaging.version"),
)
# `jsonschema` does without them.
_OPTIONAL = ("isoduration", "rfc3987")


@contextmanager
def imported_later() -> Iterator[None]:
    """Keep these libraries out of what is imported inside, until something from them is called.

    Behind it they are imported as ever.
    """
    stand_ins: dict[str, Any] = {
        **{name: _Later(name) for name in _CALLED},
        **dict.fromkeys(_OPTIONAL),
    }
    added = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


class _Later(ModuleType):
    """Stands for a module: each of its names is a function that calls the real one."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        return call
