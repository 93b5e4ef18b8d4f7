"""The tap: its settings as the SDK wants them, discovery, and the state that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import EMIT_ACTIVATE_VERSION_CONFIG

from tap_mixpanel_export.catalog import complete_catalog, read_catalog
from tap_mixpanel_export.config import (
    PROGRAM,
    ExportSettings,
    check_all,
    complete,
    ignored_settings,
    ignored_variables,
    json_schema,
    load_columns,
    read_environment,
    type_problems,
    writes_text,
)
from tap_mixpanel_export.errors import SettingsError
from tap_mixpanel_export.guarded_maps import guard_maps, refused_in_words
from tap_mixpanel_export.output.writer import MessageWriter
from tap_mixpanel_export.streams import EventsStream
from tap_mixpanel_export.sync.foreign_states import TakenOver, take_over
from tap_mixpanel_export.xdm.mapping.columns import event_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click
    from singer_sdk import Stream


class TapMixpanelExport(Tap):
    """Raw events out of Mixpanel, as they were received and stored."""

    name = PROGRAM
    package_name = PROGRAM
    message_writer_class = MessageWriter

    config_jsonschema: ClassVar[dict[str, Any]] = json_schema()

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - of the class
        """Settings of the environment; the SDK ends with a traceback on an integer that is none."""
        return read_environment(cls._whole_schema()["properties"])

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add the SDK's settings, also the one that it reads and does not declare."""
        super().append_builtin_config(config_jsonschema)
        for name, schema in EMIT_ACTIVATE_VERSION_CONFIG["properties"].items():
            config_jsonschema["properties"].setdefault(name, schema)

    @classmethod
    def _whole_schema(cls) -> dict[str, Any]:
        """The settings' schema, those of the SDK included."""
        cls.append_builtin_config(cls.config_jsonschema)
        return cls.config_jsonschema

    def __init__(self, *, catalog: Any = None, state: Any = None, **others: Any) -> None:
        """Take what the SDK's class does; what cannot be used is refused in words.

        Raises:
            CatalogError: The catalog cannot be used.
            StateError: The state cannot be used.
        """
        self._reads_environment = bool(others.get("parse_env_config"))
        self._settings: ExportSettings | None = None
        taken = TakenOver({}) if state is None else take_over(state)
        super().__init__(
            catalog=None if catalog is None else read_catalog(catalog), state=taken.state, **others
        )
        if taken.program is not None:
            self.logger.warning(
                "state: taken over from %s, which exported until %s; this run goes on there, less "
                "the look-back of %s days",
                taken.program,
                taken.bookmark,
                self.config["lookback_days"],
            )

    def setup_mapper(self) -> None:
        """Make the stream maps of what is discovered and selected.

        Raises:
            SettingsError: A map cannot be used.
        """
        # Discovery completes the catalog, which the maps read.
        _ = self.streams
        with refused_in_words():
            super().setup_mapper()
        guard_maps(self.mapper, self.config.get("stream_maps", {}))

    @property
    def _block_writer(self) -> MessageWriter:
        """The writer of all messages."""
        if not isinstance(self.message_writer, MessageWriter):
            raise TypeError("the tap writes blocks of messages; use its own MessageWriter")
        return self.message_writer

    def discover_streams(self) -> Sequence[Stream]:
        """The stream `events`, with the columns of the mapping.

        Raises:
            SettingsError: The mapping cannot be used.
            CatalogError: The catalog does not have the stream.
        """
        # Discovery checks no other settings: it needs no credentials.
        problems = [*type_problems(self.config, self._whole_schema()).values()]
        if self._settings is not None:
            columns = self._settings.event_columns
        elif not problems:
            columns, problems = load_columns(self.config)
        if problems:
            raise SettingsError(problems)
        schema = event_schema(
            columns,
            properties_format="string" if writes_text(self.config) else "object",
            time_in_ms=self.config.get("time_in_ms", False),
        )
        stream = EventsStream(self, self._block_writer, schema, self._load_settings)
        if self.input_catalog is not None:
            complete_catalog(self.input_catalog, stream)
        return [stream]

    def _load_settings(self) -> ExportSettings:
        settings = self._settings
        if settings is None:
            settings, problems = check_all(self.config, self._whole_schema())
            if settings is None:
                raise SettingsError(problems)
        for notice in settings.notices:
            self.logger.warning("%s", notice)
        return settings

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check all settings at once.

        The SDK's own check stops at types and quotes the values, secrets included.
        """
        schema = self._whole_schema()
        given, properties = self._config, schema["properties"]
        for sentence in (
            *ignored_settings(given, properties),
            *ignored_variables(given, properties, are_read=self._reads_environment),
        ):
            self.logger.warning("%s", sentence)
        self._config = complete(given, properties)
        if not raise_errors:
            return []
        self._settings, problems = check_all(self.config, schema)
        if problems:
            raise ConfigValidationError(
                "Config validation failed", errors=[str(SettingsError(problems))], schema=schema
            )
        return problems

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Run `--test`: one query of one day.

        The SDK's way is a run that ends at its first record, until when it may ask for many days.
        """
        if value != "all":
            super().cb_test(ctx, param, value)
            return
        config = ctx.params["config"]
        tap = cls(config=config.config, parse_env_config=config.parse_env)
        for stream in tap.streams.values():
            cast("EventsStream", stream).is_test = True
        tap.run_connection_test()
        cls.logger.info("ok: Mixpanel takes these settings (one query, of one day)")
        ctx.exit()

    def _setup_signal_handlers(self) -> None:
        """None: signals are the command's, from its first instruction on, see `termination`."""
