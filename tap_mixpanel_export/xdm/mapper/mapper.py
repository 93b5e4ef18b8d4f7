"""`map-mixpanel-xdm`: the stream `events` in, XDM ExperienceEvents out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import singerlib
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.mapper_base import InlineMapper

from tap_mixpanel_export.errors import SettingsError
from tap_mixpanel_export.json_text import encode
from tap_mixpanel_export.private_files import make_private_folder
from tap_mixpanel_export.xdm.errors import MapperRunError, MappingError
from tap_mixpanel_export.xdm.mapper.messages import BlockReader, BlockWriter
from tap_mixpanel_export.xdm.mapper.plan import RecordPlan
from tap_mixpanel_export.xdm.mapper.rejects import Rejects
from tap_mixpanel_export.xdm.mapping.binding import (
    DEFAULT_TENANT,
    load_mapping,
    with_required_lines,
)
from tap_mixpanel_export.xdm.mapping.columns import PROPERTY_KEY
from tap_mixpanel_export.xdm.mapping.output_schema import output_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_mixpanel_export.xdm.mapper.messages import Message
    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping

STREAM_IN = "events"
STREAM_OUT = "mixpanel_experience_events"
CONVERSION_WARNING = "MAPPER-3700-400"
"""Data Prep's code for a value that could not be converted and became null."""

_IN_NAME = msgspec.json.encode(STREAM_IN)


class XdmMapper(InlineMapper):
    """Maps raw Mixpanel events to XDM ExperienceEvents, by a Data Prep mapping set."""

    name = "map-mixpanel-xdm"
    package_name = "tap-mixpanel-export"
    # No stream maps and no flattening: the mapping set says what comes out, and as what.
    capabilities: ClassVar[list[Any]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    message_reader_class = BlockReader
    message_writer_class = BlockWriter
    message_reader: BlockReader
    message_writer: BlockWriter

    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "mapping_file",
            th.StringType,
            title="Mapping File",
            description="Data Prep mapping set (JSON). Default: the built-in mapping.",
        ),
        th.Property(
            "field_group_file",
            th.StringType,
            title="Field Group File",
            description="XDM field group (JSON). Default: the built-in field group.",
        ),
        th.Property(
            "tenant_id",
            th.StringType,
            title="Tenant ID",
            default=DEFAULT_TENANT,
            description="What stands for `{TENANT_ID}` in both files.",
        ),
        th.Property(
            "error_threshold_percent",
            th.NumberType,
            title="Error Threshold (Percent)",
            default=5,
            description="With `diagnostics_dir`: more rejected records than this fail the run.",
        ),
        th.Property(
            "diagnostics_dir",
            th.StringType,
            title="Diagnostics Directory",
            description=(
                "Where records are kept that lack a required field or cannot be read. "
                "Unset: such a record fails the run."
            ),
        ),
    ).to_dict()

    def __init__(self, **kwargs: Any) -> None:
        """Check all settings and compile the mapping, before any message is read."""
        self._mapping: BoundMapping | None = None
        super().__init__(**kwargs)
        directory = self.config.get("diagnostics_dir")
        self._rejects = Rejects(
            Path(directory) if directory else None, float(self.config["error_threshold_percent"])
        )
        self._plan: RecordPlan | None = None
        self._unconverted: Counter[str] = Counter()
        self._rows = 0

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Add what the files say to what the settings' JSON Schema says, all in one message."""
        threshold = self._config.get("error_threshold_percent")
        if isinstance(threshold, str):
            # The SDK leaves numbers of the environment as text.
            try:
                self._config["error_threshold_percent"] = float(threshold)
            except ValueError:
                self.logger.debug("error_threshold_percent is no number")
        try:
            problems = super()._validate_config(raise_errors=True)
        except ConfigValidationError as error:
            problems = list(error.errors)
        if not problems:
            problems = self._file_problems()
        if problems and raise_errors:
            message = str(SettingsError(problems))
            raise ConfigValidationError(message, errors=[message])
        return problems

    def _file_problems(self) -> list[str]:
        config = self._config
        problems: list[str] = []
        if not 0 <= config["error_threshold_percent"] <= 100:  # noqa: PLR2004 - a percentage
            problems.append("error_threshold_percent: must be between 0 and 100")
        directory = config.get("diagnostics_dir")
        if directory:
            try:
                make_private_folder(Path(directory))
            except OSError as error:
                problems.append(f"diagnostics_dir: {directory}: {error.strerror}")
        try:
            # The default only stands in for files that name no tenant themselves.
            tenant = None if config["tenant_id"] == DEFAULT_TENANT else config["tenant_id"]
            self._mapping = with_required_lines(
                load_mapping(config.get("mapping_file"), config.get("field_group_file"), tenant)
            )
        except MappingError as error:
            problems += error.problems
        return problems

    def _process_schema_message(self, message_dict: Message) -> None:
        if _is_events(message_dict):
            self._write_messages(self.map_schema_message(message_dict))
        else:
            self._pass_on()

    def _process_record_message(self, message_dict: Message) -> None:
        if not _is_events(message_dict):
            self._pass_on()
            return
        record = self._mapped(message_dict["record"])
        if record is not None:
            # Whatever else the tap said of the record (version, time_extracted) goes along.
            message_dict["stream"] = STREAM_OUT
            message_dict["record"] = record
            self.message_writer.write_fields(message_dict)

    def _process_state_message(self, message_dict: Message) -> None:  # noqa: ARG002 - hook
        # The state says that everything before it is done: what was rejected has to be kept by now.
        self._rejects.judge(self._rows)
        self._pass_on()
        self.message_writer.flush()

    def _process_activate_version_message(self, message_dict: Message) -> None:
        if _is_events(message_dict):
            self.message_writer.write_fields({**message_dict, "stream": STREAM_OUT})
        else:
            self._pass_on()

    def _process_batch_message(self, message_dict: Message) -> None:
        if not _is_events(message_dict):
            self._pass_on()
            return
        raise MapperRunError(
            "The tap sends BATCH messages: their records are in files that a mapper does not see. "
            "Remove batch_config from the tap's settings to map its events."
        )

    def _pass_on(self) -> None:
        """Write the line that is being processed, to the byte as it came."""
        line = self.message_reader.line
        self.message_writer.write_line(line if line.endswith(b"\n") else line + b"\n")

    def _mapped(self, record: msgspec.Raw) -> dict[str, Any] | None:
        """Return the mapped record, None if it was rejected."""
        if self._plan is None:
            raise MapperRunError("A record of the stream events came before its SCHEMA message.")
        self._rows += 1
        mapped, rejection = self._plan.map(record)
        if rejection is None:
            return mapped
        # Of a line that cannot be taken apart, the line is all there is.
        whole = self.message_reader.line if rejection.field is None else b""
        self._rejects.reject(rejection, whole or record)
        return None

    def map_schema_message(self, message_dict: Message) -> Iterable[singerlib.Message]:
        """Compile the mapping against the columns of `events`; return the SCHEMA of the output."""
        if self._mapping is None:
            raise MapperRunError("The mapping was not loaded: the settings were not validated.")
        schema = msgspec.json.decode(encode(message_dict["schema"]))
        # A source of the name of a column is not in it when the column holds another property.
        columns = [n for n, s in schema.get("properties", {}).items() if PROPERTY_KEY not in s]
        self._plan = RecordPlan(self._mapping, columns, self._unconverted)
        return [
            singerlib.SchemaMessage(
                STREAM_OUT, output_schema(self._mapping), ["_id"], ["timestamp"]
            )
        ]

    def map_record_message(self, message_dict: Message) -> Iterable[singerlib.Message]:
        """Return the mapped record of `events`, nothing if it was rejected."""
        record = self._mapped(msgspec.Raw(encode(message_dict["record"])))
        return [] if record is None else [singerlib.RecordMessage(STREAM_OUT, record)]

    def map_state_message(self, message_dict: Message) -> Iterable[singerlib.Message]:
        """Return the state as it is."""
        return [singerlib.StateMessage(message_dict["value"])]

    def map_activate_version_message(self, message_dict: Message) -> Iterable[singerlib.Message]:
        """Return the message under the output's name."""
        return [singerlib.ActivateVersionMessage(STREAM_OUT, message_dict["version"])]

    def process_endofpipe(self) -> None:
        """Write what is left, and tell how the run was."""
        self.message_writer.flush()
        self._rejects.close()
        if self._plan is None:
            self.logger.warning("No SCHEMA of the stream events came: nothing was mapped.")
            return
        self.logger.info(
            "%d records in, %d out, %d rejected, %d values not converted.",
            self._rows,
            self._rows - self._rejects.count,
            self._rejects.count,
            self._unconverted.total(),
        )
        if self._unconverted:
            self.logger.warning(
                "%s: values that do not fit the type of their field were left out: %s.",
                CONVERSION_WARNING,
                ", ".join(f"{field}: {count}" for field, count in self._unconverted.most_common()),
            )
        if self._rejects.count:
            self.logger.warning("%s", self._rejects.summary())
        self._rejects.judge(self._rows, final=True)

    def _setup_signal_handlers(self) -> None:
        """None: signals are the command's, from its first instruction on, see `termination`."""


def _is_events(message: Message) -> bool:
    return bytes(message["stream"]) == _IN_NAME
