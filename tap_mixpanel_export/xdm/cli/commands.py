"""`mixpanel-xdm`: for people who write, check and look at mappings."""

from __future__ import annotations

import functools
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tap_mixpanel_export.errors import printable
from tap_mixpanel_export.record_layout import PROPERTIES
from tap_mixpanel_export.xdm.cli.event_source import open_events
from tap_mixpanel_export.xdm.cli.infer import extended_field_group, extended_mapping_set, propose
from tap_mixpanel_export.xdm.cli.payloads import (
    field_group_payload,
    identity_descriptors,
    schema_payload,
)
from tap_mixpanel_export.xdm.cli.preview import preview as make_preview
from tap_mixpanel_export.xdm.cli.preview import records_list, records_table, schema_table
from tap_mixpanel_export.xdm.errors import MapperRunError, MappingError
from tap_mixpanel_export.xdm.mapper.reading import (
    decode_members,
    decode_value,
    properties_texts,
)
from tap_mixpanel_export.xdm.mapping.binding import load_mapping, with_required_lines
from tap_mixpanel_export.xdm.mapping.column_names import MAX_NAME_BYTES, column_problems
from tap_mixpanel_export.xdm.mapping.columns import derive_columns
from tap_mixpanel_export.xdm.mapping.further_columns import column_entry
from tap_mixpanel_export.xdm.mapping.mapping_set import source_text
from tap_mixpanel_export.xdm.mapping.stream_maps import skipped_lines, stream_map, to_yaml
from tap_mixpanel_export.xdm.schema.documents import dump_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.xdm.cli.event_source import EventRecord
    from tap_mixpanel_export.xdm.cli.infer import Proposal
    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping
    from tap_mixpanel_export.xdm.schema.documents import JsonObject

# Tables in a file or pipe are for reading, too: nothing is cut off there.
_WIDE = 10_000


def _with_mapping(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a mapping, and the mapping; turn errors to messages."""

    @click.option("--mapping-file", help="Data Prep mapping set. Default: the built-in one.")
    @click.option("--field-group-file", help="XDM field group. Default: the built-in one.")
    @click.option("--tenant-id", help="What stands for {TENANT_ID} in the files.")
    @functools.wraps(command)
    def wrapped(
        mapping_file: str | None, field_group_file: str | None, tenant_id: str | None, **kwargs: Any
    ) -> None:
        try:
            command(load_mapping(mapping_file, field_group_file, tenant_id), **kwargs)
        except MappingError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            sys.exit(1)
        except MapperRunError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def _with_events(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option(
        "--config",
        "configs",
        multiple=True,
        help="Settings of the tap: a JSON file, or ENV for environment variables (the default).",
    )(command)
    return click.option(
        "--input",
        "input_file",
        help="Read this JSON lines file (records, Singer messages or raw events; - for standard "
        "input) instead of running the tap.",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Write, check and look at mappings from Mixpanel events to XDM."""


@main.command()
@_with_mapping
def check(mapping: BoundMapping) -> None:
    """List every problem of a mapping set; exit with 1 if there is one."""
    columns = derive_columns(mapping)
    problems = column_problems(mapping)
    if problems:
        raise MappingError(problems)
    filled = {bound.destination for bound in mapping.lines}
    for name in sorted(mapping.field_group.root.required):
        if (name,) not in filled:
            click.echo(f"Note: no line fills {name}; the mapper fills it from the event itself.")
    click.echo(f"{len(mapping.lines)} lines, {len(columns)} columns, no problem.")


@main.command("stream-maps")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
@_with_mapping
def stream_maps(mapping: BoundMapping, *, as_json: bool) -> None:
    """Print the stock SDK stream map of a mapping set."""
    maps = stream_map(mapping)
    for bound in skipped_lines(mapping):
        click.echo(
            f"mapping {bound.line.number} ({printable(bound.name)}): left out, stream maps have no "
            "Data Prep expressions; use map-mixpanel-xdm",
            err=True,
        )
    if as_json:
        _echo_json({"stream_maps": maps})
    else:
        click.echo(to_yaml(maps), nl=False)


@main.command("field-group")
@_with_mapping
def field_group(mapping: BoundMapping) -> None:
    """Print the payload that creates the field group in the XDM Schema Registry."""
    _echo_json(field_group_payload(mapping.field_group))


@main.command()
@click.option("--title", default="Mixpanel events", show_default=True, help="Name of the schema.")
@click.option("--field-group-id", help="The $id that the registry gave to the field group.")
@click.option("--descriptors", is_flag=True, help="Print the identity descriptors instead.")
@click.option("--schema-id", help="With --descriptors: the $id that the schema got.")
@_with_mapping
def schema(
    mapping: BoundMapping,
    *,
    title: str,
    field_group_id: str | None,
    descriptors: bool,
    schema_id: str | None,
) -> None:
    """Print the payload that creates the schema in the XDM Schema Registry."""
    if descriptors:
        _echo_json(identity_descriptors(mapping, schema_id))
    else:
        _echo_json(schema_payload(mapping, title=title, field_group_id=field_group_id))


@main.command()
@click.option("--limit", default=10, show_default=True, help="How many events to map.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
@_with_events
@_with_mapping
def preview(
    mapping: BoundMapping,
    *,
    limit: int,
    as_json: bool,
    input_file: str | None,
    configs: tuple[str, ...],
) -> None:
    """Show the schema and the first mapped records."""
    complete = with_required_lines(mapping)
    with open_events(input_file, configs) as events:
        result = make_preview(complete, events, limit)
    if as_json:
        _echo_json(result)
        return
    console = _console()
    console.print(schema_table(complete))
    records = records_table(complete, result.records)
    unlimited = console.options.update(max_width=_WIDE)
    if console.measure(records, options=unlimited).maximum > console.width:
        records = records_list(complete, result.records)
    console.print(records)
    for destination, count in result.unconverted.items():
        console.print(Text(f"{printable(destination)}: {count} values do not fit its type."))
    for problem, count in result.rejected.items():
        console.print(Text(f"{count} records are rejected: {printable(problem)}."))


@main.command()
@click.option("--min-share", default=0.0, help="Leave out properties that fewer events have (0-1).")
@click.option("--limit", default=100_000, show_default=True, help="How many events to read.")
@click.option("--mapping-out", type=click.Path(dir_okay=False), help="Write the mapping set here.")
@click.option("--field-group-out", type=click.Path(dir_okay=False), help="Write the field group.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option("--columns", "as_columns", is_flag=True, help="The tap's setting `columns` instead.")
@_with_events
@_with_mapping
def infer(  # noqa: PLR0913 - one parameter per option
    mapping: BoundMapping,
    *,
    min_share: float,
    limit: int,
    mapping_out: str | None,
    field_group_out: str | None,
    as_json: bool,
    as_columns: bool,
    input_file: str | None,
    configs: tuple[str, ...],
) -> None:
    """Propose mapping lines and fields for properties that are not mapped yet."""
    with open_events(input_file, configs) as events:
        count, proposals = propose(mapping, map(_properties, islice(events, limit)))
    proposals = [proposal for proposal in proposals if proposal.share >= min_share]
    texts = {
        mapping_out: extended_mapping_set(mapping, proposals).dump(),
        field_group_out: dump_document(extended_field_group(mapping, proposals)),
    }
    for path, text in texts.items():
        if path is not None:
            with click.open_file(path, "w", encoding="utf-8") as file:
                file.write(text)
    if as_columns:
        entries = (column_entry(p.source, p.field.type) for p in proposals)
        _echo_json([entry for entry in entries if entry is not None])
    elif as_json:
        _echo_json({"events": count, "properties": list(map(_document, proposals))})
    else:
        _show(count, proposals)


def _document(proposal: Proposal) -> JsonObject:
    return {
        "source": source_text(proposal.source),
        "destination": ".".join(proposal.destination),
        **({} if proposal.has_column else {"column": False}),
        "type": proposal.field.label,
        "share": round(proposal.share, 4),
        "types_seen": proposal.types,
    }


def _show(count: int, proposals: list[Proposal]) -> None:
    table = Table("Property", "Events", "Types seen", "Proposed field", "Type")
    for proposal in proposals:
        table.add_row(
            Text(printable(source_text(proposal.source))),
            f"{proposal.share:.1%}",
            ", ".join(proposal.types),
            ".".join(proposal.destination),
            proposal.field.label,
        )
    console = _console()
    console.print(table)
    console.print(Text(f"{count} events read, {len(proposals)} properties not mapped yet."))
    without = [source_text(p.source) for p in proposals if not p.has_column]
    if without:
        names = printable(", ".join(without), 1000)
        console.print(
            Text(
                f"Without a column, since databases would take its name for another's (they see no "
                f"case, and {MAX_NAME_BYTES} bytes): {names}. Expressions fill their fields."
            )
        )


def _properties(event: EventRecord) -> JsonObject:
    properties = properties_texts(decode_members(event.text).get(PROPERTIES))
    return {name: decode_value(raw) for name, raw in properties.items()}


def _echo_json(value: object) -> None:
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    # A terminal acts on more characters than JSON itself escapes.
    click.echo("".join(map(_escaped, text)))


def _escaped(character: str) -> str:
    visible = character.isprintable() or character == "\n"
    return character if visible else json.dumps(character)[1:-1]


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
