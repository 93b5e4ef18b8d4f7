"""Pure: which form the finished records of a run have, and what keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.timezones import Instants

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from tap_mixpanel_export.records.event_filter import EventSelector
    from tap_mixpanel_export.records.json_encoder import Encoder
    from tap_mixpanel_export.records.redaction import Redaction
    from tap_mixpanel_export.records.spool import WindowSpool
    from tap_mixpanel_export.xdm.mapping.columns import Column


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
    return RecordForm(selected, partial(Spool, gzip_level), properties_as_text=properties_as_text)


@dataclass(frozen=True, slots=True)
class RecordMakers:
    """Gives record makers for the responses of a run, one for each try.

    Attributes:
        columns: The mapped columns.
        zone: The project's.
        time_in_ms: Whether `time` is in milliseconds.
        form: Of the records.
        redaction: Hides properties; None when nothing is hidden.
    """

    columns: tuple[Column, ...]
    zone: tzinfo
    time_in_ms: bool
    form: RecordForm
    redaction: Redaction | None = None

    def __call__(self, event_filter: EventSelector) -> RecordMaker:
        """A record maker for the events that a filter lets pass."""
        return RecordMaker(
            self.columns,
            Instants(self.zone, milliseconds=self.time_in_ms),
            selected=self.form.selected,
            properties_as_text=self.form.properties_as_text,
            redaction=self.redaction,
            event_filter=event_filter,
            encoder=self.form.encoder,
        )
