"""The SDK's stream maps, kept from telling what is in an event.

What an expression raises quotes the value that it failed on (`could not convert string to float:
'ann@example.com'`), in a traceback of seventy lines; and at debug level the SDK logs what a filter
gave, which can be any property.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.mapper import CustomStreamMap, RemoveRecordTransform

from tap_mixpanel_export.bounded_maps import bound_expressions
from tap_mixpanel_export.errors import MapError, SettingsError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from singer_sdk.mapper import PluginMapper, StreamMap

logger = logging.getLogger("tap-mixpanel-export")

# What an expression usually gives; of other types JSON may have no form.
_JSON_TYPES = frozenset({str, int, float, bool, Decimal, dict, list, type(None)})


class _WithoutResult(logging.Filter):
    """Replaces what a filter gave, in the SDK's debug log, by whether it is true."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and str(record.msg).startswith("Filter result"):
            record.args = (*record.args[:-1], bool(record.args[-1]))
        return True


logging.getLogger("singer_sdk.mapper").addFilter(_WithoutResult())


@contextmanager
def refused_in_words() -> Iterator[None]:
    """A context for the SDK's own making of the stream maps.

    Raises:
        SettingsError: A map cannot be used.
    """
    try:
        yield
    except (MapExpressionError, StreamMapConfigError) as error:
        # What is wrong with an expression was found before; this is about keys and flattening.
        raise SettingsError([f"stream_maps: {printable(str(error), 500)}"]) from None
    except ImportError as error:
        raise SettingsError([f"stream_maps: {error.name} is not installed"]) from None
    except Exception as error:  # noqa: BLE001 - whatever Faker says of its seed and locale
        kind = type(error).__name__
        raise SettingsError(
            [f"stream_maps, faker_config or flattening cannot be used ({kind})"]
        ) from None


def guard_maps(mapper: PluginMapper, definitions: Mapping[str, Any]) -> None:
    """Bound each expression, and have one that fails end the run in words that quote no value.

    Args:
        mapper: Its maps are changed in place.
        definitions: The setting `stream_maps`.
    """
    for stream, maps in mapper.stream_maps.items():
        for one in maps:
            if isinstance(one, CustomStreamMap):
                _guard_expressions(one, definitions)
            _guard_transform(one)
        if maps and all(isinstance(one, RemoveRecordTransform) for one in maps):
            logger.warning("stream_maps remove the stream %s: NOTHING IS EXPORTED", stream)


def _guard_expressions(stream_map: CustomStreamMap, definitions: Mapping[str, Any]) -> None:
    stream = stream_map.stream_alias
    bound_expressions(stream_map.expr_evaluator)
    evaluate = stream_map.expr_evaluator.eval

    def guarded(expression: str, *args: Any, **others: Any) -> Any:
        try:
            result = evaluate(expression, *args, **others)
            if type(result) not in _JSON_TYPES:
                # A function without its brackets, for example.
                msgspec.json.encode(result)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text quotes the event
            column = _columns_of(expression, definitions)
            raise MapError(
                f"stream_maps: stream {printable(stream)}, column {column}: the expression "
                f"`{printable(expression)}` failed on an event ({_kind(error)}). The event's "
                "values are not shown; have it take every value that the property can have"
            ) from None
        return result

    stream_map.expr_evaluator.eval = guarded


def _guard_transform(stream_map: StreamMap) -> None:
    stream, transform = stream_map.stream_alias, stream_map.transform

    def guarded(record: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return transform(record)
        except MapError:
            raise
        except Exception as error:  # noqa: BLE001 - the same
            raise MapError(
                f"stream_maps or flattening: an event of the stream {printable(stream)} could not "
                f"be mapped ({_kind(error)}). Its values are not shown"
            ) from None

    stream_map.transform = guarded  # type: ignore[method-assign]


def _kind(error: Exception) -> str:
    """The kind of an error; the SDK wraps those of the language of expressions."""
    return type(error.__cause__ or error).__name__


def _columns_of(expression: str, definitions: Mapping[str, Any]) -> str:
    names = {
        str(name)
        for definition in definitions.values()
        if isinstance(definition, dict)
        for name, value in definition.items()
        if value == expression
    }
    return " or ".join(map(printable, sorted(names)))
