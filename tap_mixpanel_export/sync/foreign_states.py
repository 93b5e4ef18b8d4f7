"""Pure: states of other programs, and those that are wrapped into something.

A state that is not understood must not be taken for none: the run would export everything again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tap_mixpanel_export.errors import StateError

_OURS = "events"
# What `tap-mixpanel` and Airbyte's source call the stream of raw events.
_THEIRS = "export"
# Where Airbyte's source keeps the time of the last event: today, and before version 1.0.
_AIRBYTE_CURSORS = ("time", "date")

_NO_STATE = (
    'state: it is not of the form {"bookmarks": {"events": {…}}}; mend it, or start without a state'
)


class TakenOver(NamedTuple):
    """A state for this tap, made of another program's.

    Attributes:
        state: The state.
        program: Whose it was; None when it is this tap's own.
        bookmark: Until when that program exported, as it wrote it.
    """

    state: dict[str, Any]
    program: str | None = None
    bookmark: str | None = None


def take_over(given: Any) -> TakenOver:
    """Read a state: this tap's own, or one of `tap-mixpanel` or Airbyte.

    Args:
        given: What was passed in.

    Raises:
        StateError: It is neither; says what it looks like, and what to do.
    """
    if (bookmark := _airbyte_bookmark(given)) is not None:
        return _begin_at(bookmark, "Airbyte's Mixpanel source")
    if not isinstance(given, dict):
        raise StateError(_NO_STATE)
    _refuse_wrapped(given)
    bookmarks = given.get("bookmarks", {})
    if not isinstance(bookmarks, dict):
        raise StateError(_NO_STATE)
    if _OURS not in bookmarks:
        if (bookmark := _tap_mixpanel_bookmark(bookmarks.get(_THEIRS))) is not None:
            return _begin_at(bookmark, "tap-mixpanel")
        if bookmarks:
            raise StateError(
                f"state: it has no bookmark of the stream {_OURS} (it may be another tap's); name "
                "the right state, or start without one"
            )
        if given.keys() - {"bookmarks", "currently_syncing"}:
            raise StateError(_NO_STATE)
    if not all(isinstance(bookmark, dict) for bookmark in bookmarks.values()):
        raise StateError(_NO_STATE)
    return TakenOver(given)


def _begin_at(bookmark: str, program: str) -> TakenOver:
    # Without a watermark all of the look-back is written again: how far the other program's
    # bookmark can be trusted is unknown.
    state = {"replication_key": "timestamp", "replication_key_value": bookmark}
    return TakenOver({"bookmarks": {_OURS: state}}, program, bookmark)


def _refuse_wrapped(given: dict[str, Any]) -> None:
    if given.get("type") == "STATE":
        raise StateError("state: it is a whole STATE message; pass what stands in its `value`")
    if "singer_state" in given:
        raise StateError(
            "state: it is wrapped as `meltano state get` prints it; pass what stands in its "
            "`singer_state` (in a Meltano project use `meltano state set` instead)"
        )
    for name in ("completed", "partial"):
        if name in given:
            raise StateError(
                f"state: it is Meltano's record of a run; pass what stands in `singer_state` of "
                f"its `{name}`"
            )
    if "value" in given and "bookmarks" not in given:
        raise StateError("state: it has a `value` around it, as a STATE message has; pass that")


def _tap_mixpanel_bookmark(bookmark: object) -> str | None:
    """The time of a bookmark, which is that time, or an object that has one member for it."""
    if isinstance(bookmark, dict):
        texts = [value for value in bookmark.values() if isinstance(value, str)]
        named = bookmark.get("replication_key_value", bookmark.get("time"))
        bookmark = named if named is not None or len(texts) != 1 else texts[0]
    return bookmark if isinstance(bookmark, str) else None


def _airbyte_bookmark(given: Any) -> str | None:
    """The time in a state of Airbyte: a list of streams, one of them, or the older plain form."""
    if isinstance(given, list):
        found = [bookmark for one in given if (bookmark := _airbyte_bookmark(one)) is not None]
        return found[0] if len(found) == 1 else None
    if not isinstance(given, dict):
        return None
    if isinstance(given.get("state"), dict):
        return _airbyte_bookmark(given["state"])
    if isinstance(given.get("stream"), dict):
        return _airbyte_bookmark(given["stream"])
    descriptor = given.get("stream_descriptor")
    if isinstance(descriptor, dict):
        state = given.get("stream_state") if descriptor.get("name") == _THEIRS else None
    else:
        state = given.get(_THEIRS)
    if not isinstance(state, dict):
        return None
    return next(
        (state[name] for name in _AIRBYTE_CURSORS if isinstance(state.get(name), str)), None
    )
