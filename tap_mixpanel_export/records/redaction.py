"""Pure: personal data taken out of an event's properties, or replaced by digests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from tap_mixpanel_export.errors import printable
from tap_mixpanel_export.json_text import NULL, encode_members, plain
from tap_mixpanel_export.records.parsing import items_of, members_of
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_mixpanel_export.xdm.mapping.columns import Column

Path = tuple[str, ...]

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_OBJECT, _LIST = b"{["


@dataclass(slots=True)
class _Rule:
    """What becomes of a value: removed, replaced by its digest, or looked into."""

    is_met: bool = False
    is_removed: bool = False
    is_hashed: bool = False
    inside: dict[str, _Rule] = field(default_factory=dict)


class Redaction:
    """Removes properties of events, and replaces others by their digests.

    A path leads through objects, and through lists to each object in them. A digest is the
    lower-case hex SHA-256 of the salt's bytes and the value's: a string as UTF-8 text, anything
    else as its JSON text as exported. A null stays null, which tells nothing.

    Args:
        removed: Paths of what is removed.
        hashed: Paths of what is replaced; what is removed, too, is not there to be replaced.
        salt: What goes into each digest in front of the value.
        named: What the user calls them: each name with the paths that it may mean.
    """

    def __init__(
        self,
        removed: Iterable[Path],
        hashed: Iterable[Path],
        salt: bytes = b"",
        named: Mapping[str, Iterable[Path]] | None = None,
    ) -> None:
        self._named = dict(named or {})
        self._removed, self._hashed = frozenset(removed), frozenset(hashed)
        self._salt, self._salted = salt, sha256(salt)
        self._rules: dict[str, _Rule] = {}
        for path in self._removed:
            self._rule_of(path).is_removed = True
        for path in self._hashed:
            self._rule_of(path).is_hashed = True

    def __reduce__(self) -> tuple[type[Redaction], tuple[object, ...]]:
        # For a worker process, which tells what it has met.
        return Redaction, (self._removed, self._hashed, self._salt, self._named)

    @property
    def met(self) -> frozenset[Path]:
        """Paths of what was found in an event."""
        paths = self._removed | self._hashed
        return frozenset(path for path in paths if self._rule_of(path).is_met)

    def note_met(self, paths: Iterable[Path]) -> None:
        """Take what somebody else has found."""
        for path in paths:
            self._rule_of(path).is_met = True

    @property
    def names(self) -> frozenset[str]:
        """The properties that it may change."""
        return frozenset(self._rules)

    def __call__(self, properties: bytes) -> bytes:
        """Redact the properties of an event.

        Args:
            properties: JSON text of an object.

        Returns:
            The same text when it has none of what is to be hidden. Otherwise the values and names
            that stay are as they were, each name once.
        """
        return self._redacted(properties, self._rules)

    def column(self, column: Column) -> Column:
        """A column with the type that its values have now: a digest is text."""
        field = column.field
        for path in self._hashed:
            if path[: len(column.path)] == column.path:
                field = _with_text_at(field, path[len(column.path) :])
        return column if field is column.field else replace(column, field=field)

    def warning(self) -> str | None:
        """What to say of names that no event had; None when all of them were met."""
        unmet = [
            f'"{printable(name)}"'
            for name, paths in self._named.items()
            if not any(self._rule_of(path).is_met for path in paths)
        ]
        if not unmet:
            return None
        return (
            f"exclude_properties, hash_properties: no event of these days has {', '.join(unmet)}, "
            "so that nothing was hidden by it; a wrong case or a missing $ is the usual cause"
        )

    def _rule_of(self, path: Path) -> _Rule:
        rules = self._rules
        for name in path[:-1]:
            rules = rules.setdefault(name, _Rule()).inside
        return rules.setdefault(path[-1], _Rule())

    def _redacted(self, text: bytes, rules: dict[str, _Rule]) -> bytes:
        """The text with the rules applied; the same object when none of them does."""
        if text[0] == _LIST:
            items = _items(text)
            redacted = [self._redacted(item, rules) for item in items]
            if all(new is old for new, old in zip(redacted, items, strict=True)):
                return text
            return b"[" + b",".join(redacted) + b"]"
        if text[0] != _OBJECT:
            return text
        members = _members(text)
        is_changed = is_met = False
        for name, rule in rules.items():
            if name not in members:
                continue
            rule.is_met = is_met = True
            if rule.is_removed:
                del members[name]
                is_changed = True
                continue
            old = bytes(members[name])
            new = self._digest(old) if rule.is_hashed else self._redacted(old, rule.inside)
            if new is not old:
                members[name] = Raw(new)
                is_changed = True
        if not is_met:
            return text
        encoded = encode_members(members)
        # Of a repeated name the last value counts; the others would stay in the text.
        return encoded if is_changed or len(encoded) < len(text) else text

    def _digest(self, text: bytes) -> bytes:
        if text == NULL:
            return text
        digest = self._salted.copy()
        digest.update(plain(text))
        return b'"' + digest.hexdigest().encode() + b'"'


def _members(text: bytes) -> dict[str, Raw]:
    try:
        return _decode_members(text)
    except msgspec.MsgspecError:
        # Escapes of lone surrogates.
        return {name: Raw(value.encode()) for name, value in members_of(text.decode()).items()}


def _items(text: bytes) -> list[bytes]:
    try:
        return list(map(bytes, _decode_items(text)))
    except msgspec.MsgspecError:
        return [item.encode() for item in items_of(text.decode())]


def _with_text_at(field: XdmField, path: Path) -> XdmField:
    """A field that has text at a path, where it has anything there."""
    if not path:
        return XdmField(XdmType.STRING, title=field.title, description=field.description)
    if field.type is XdmType.ARRAY and field.items is not None:
        return replace(field, items=_with_text_at(field.items, path))
    child = field.properties.get(path[0])
    if child is None:
        return field
    inside = {**field.properties, path[0]: _with_text_at(child, path[1:])}
    return replace(field, properties=inside)
