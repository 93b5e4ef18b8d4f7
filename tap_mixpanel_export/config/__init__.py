"""The tap's settings: declared once, read from files and the environment, checked as a whole.

Nothing here needs the SDK: what reads events without Singer has the same settings.
"""

from tap_mixpanel_export.config.checks import (
    HOSTS,
    ExportSettings,
    check_all,
    check_settings,
    load_columns,
    writes_text,
)
from tap_mixpanel_export.config.declarations import PREFIX, PROGRAM, json_schema
from tap_mixpanel_export.config.run import make_run
from tap_mixpanel_export.config.unknown import ignored_settings, ignored_variables
from tap_mixpanel_export.config.values import complete, read_environment, read_texts, type_problems

__all__ = [
    "HOSTS",
    "PREFIX",
    "PROGRAM",
    "ExportSettings",
    "check_all",
    "check_settings",
    "complete",
    "ignored_settings",
    "ignored_variables",
    "json_schema",
    "load_columns",
    "make_run",
    "read_environment",
    "read_texts",
    "type_problems",
    "writes_text",
]
