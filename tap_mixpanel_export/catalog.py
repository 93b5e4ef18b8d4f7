"""The catalog that is passed in: made whole by what was discovered, or refused in a sentence."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Catalog, Metadata, Schema
from singer_sdk.singerlib.catalog import StreamMetadata

from tap_mixpanel_export.errors import CatalogError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk import Stream
    from singer_sdk.singerlib import CatalogEntry

logger = logging.getLogger("tap-mixpanel-export")

_ADVICE = "`tap-mixpanel-export --discover` prints a catalog that can be edited"


def read_catalog(given: Catalog | Mapping[str, Any]) -> Catalog:
    """Read a catalog; the SDK would end with a traceback on one of another form.

    Raises:
        CatalogError: It is none.
    """
    if isinstance(given, Catalog):
        return given
    streams = given.get("streams")
    if not isinstance(streams, list) or not all(isinstance(one, dict) for one in streams):
        raise CatalogError(f'catalog: it is not of the form {{"streams": [{{…}}]}}; {_ADVICE}')
    try:
        # A hand-made one may name the stream once, in either member.
        return Catalog.from_dict(
            {"streams": [{"tap_stream_id": one.get("stream"), **one} for one in streams]}
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogError(
            "catalog: a stream's metadata is not a list of breadcrumbs with their metadata, or its "
            f"schema is no JSON schema; {_ADVICE}"
        ) from error


def complete_catalog(catalog: Catalog, stream: Stream) -> None:
    """Add to the catalog's entry of a stream, in place, what it leaves out.

    What it does not say is as discovered: columns, keys, how it is replicated. The columns that
    every record has cannot be deselected.

    Raises:
        CatalogError: The stream is not in it, or as something that it cannot be.
    """
    entry = _find(catalog, stream.name)
    entry.stream = stream.name
    entry.schema = _complete_schema(entry.schema.to_dict(), stream.schema)
    # As in every tap, what says nothing of the stream selects it.
    root: StreamMetadata = entry.metadata.setdefault((), StreamMetadata(selected=True))  # type: ignore[assignment]
    for name in stream.schema["required"]:
        entry.metadata["properties", name] = Metadata(Metadata.InclusionType.AUTOMATIC)
    if entry.key_properties is None:
        entry.key_properties = root.table_key_properties or stream.primary_keys
    method = entry.replication_method or root.forced_replication_method or "INCREMENTAL"
    if method not in {"INCREMENTAL", "FULL_TABLE"}:
        raise CatalogError(
            f"catalog: the replication method of {stream.name} is {printable(str(method))}, but "
            "can be INCREMENTAL (the default) or FULL_TABLE only"
        )
    entry.replication_key = stream.replication_key if method == "INCREMENTAL" else None
    if not entry.metadata.resolve_selection()[()]:
        logger.warning(
            "catalog: the stream %s is not selected: NOTHING IS EXPORTED. Where Meltano made the "
            "catalog, `select` needs a pattern that includes beside those that exclude: "
            "meltano select tap-mixpanel-export %s '*'",
            entry.stream,
            entry.stream,
        )


def _complete_schema(given: dict[str, Any], discovered: dict[str, Any]) -> Schema:
    known = discovered["properties"]
    columns = given.get("properties") or known
    if unknown := columns.keys() - known.keys():
        logger.warning(
            "catalog: there is no column %s, which is left out; discover the catalog anew",
            ", ".join(map(printable, sorted(unknown))),
        )
    kept = {name: column for name, column in columns.items() if name in known}
    always = {name: known[name] for name in discovered["required"]}
    return Schema.from_dict({**discovered, **given, "properties": {**always, **kept}})


def _find(catalog: Catalog, stream: str) -> CatalogEntry:
    entry = catalog.get(stream)
    names = {
        str(name) for one in catalog.values() for name in (one.stream, one.tap_stream_id) if name
    }
    if entry is None:
        found = f"only {', '.join(map(printable, sorted(names)))}" if names else "no stream at all"
        raise CatalogError(
            f"catalog: it has {found}, but not the one stream of this tap, {stream}. To give it "
            f"another name use stream_maps with __alias__; {_ADVICE}"
        )
    if entry.stream not in {None, stream}:
        raise CatalogError(
            f"catalog: the stream {stream} is renamed to {printable(str(entry.stream))} there. To "
            "give it another name use stream_maps with __alias__"
        )
    return entry
