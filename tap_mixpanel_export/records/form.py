"""Pure: which form the finished records of a run have, and what keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_mixpanel_export.records.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.records.json_encoder import Encoder
    from tap_mixpanel_export.records.spool import WindowSpool


@dataclass(frozen=True, slots=True)
class RecordForm:
    """The form of a run's records: JSON text, or rows for Arrow.

    Attributes:
        selected: Names of the columns to write; None for all.
        make_spool: Gives what keeps the records of a window until it is verified; is told how many
            bytes of them it may keep in memory.
        encoder: Gives records their form; None for JSON text.
        properties_as_text: Whether `properties` is JSON text in JSON text.
    """

    selected: frozenset[str] | None
    make_spool: Callable[[int], WindowSpool]
    encoder: Encoder | None = None
    properties_as_text: bool = False


def text_form(
    selected: frozenset[str], *, properties_as_text: bool, gzip_level: int | None = None
) -> RecordForm:
    """Records as JSON text.

    Args:
        selected: Names of the columns to write.
        properties_as_text: Whether the column `properties` is JSON text.
        gzip_level: How finished records are kept, see `Spool`.
    """
    return RecordForm(
        selected,
        lambda memory_bytes: Spool(gzip_level, memory_bytes),
        properties_as_text=properties_as_text,
    )
