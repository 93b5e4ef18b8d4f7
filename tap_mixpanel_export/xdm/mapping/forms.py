"""The forms in which mapping sets come: what is read, and the same form back.

As files, a JSON object with `mappings`; as Adobe's API gives them, an object with more around it, a
list with one such object in `data`, or a bare list of lines; as the user interface exports them, a
CSV template with a column for the source and one for the destination.
"""

from __future__ import annotations

import copy
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.schema.documents import (
    JsonObject,
    dump_document,
    parse_json,
    read_text,
)

if TYPE_CHECKING:
    from os import PathLike

SOURCE_TYPES = {
    "ATTRIBUTE": "ATTRIBUTE",
    "EXPRESSION": "EXPRESSION",
    "STATIC": "STATIC",
    "text/x.schema-path": "ATTRIBUTE",
    "text/x.aep-xl": "EXPRESSION",
}
"""What `sourceType` says, in files and in the API's responses."""

_API_WORDS = {"ATTRIBUTE": "text/x.schema-path", "EXPRESSION": "text/x.aep-xl"}

# Headings as the template and people write them, in lower case, with nothing but letters.
_HEADINGS = {
    "source": {"source", "sourcedata", "sourcefield", "sourceattribute", "sourcefieldpath"},
    "destination": {
        "destination",
        "destinationfield",
        "destinationxdmpath",
        "target",
        "targetdata",
        "targetfield",
        "targetxdmfield",
        "targetfieldpath",
    },
    "sourceType": {"sourcetype", "type", "mappingtype"},
}
_NOT_LETTERS = re.compile(r"[^a-z]+")
_DELIMITERS = ",;\t"
_QUOTED_NAME = re.compile(r"\$\{(?:\\.|[^}\\])*\}|\\.", re.DOTALL)
# A call, a text, a list, an operator between blanks; a number or constant alone.
_COMPUTED = re.compile(
    r"""[("'\[]|\s(?:[-+*/%<>]|[<>=!]=|&&|\|\||and|or|eq|ne|lt|le|gt|ge|div|mod)\s"""
    r"|^\s*(?:[-+]?[0-9.]+|true|false|null)\s*$|^\s*(?:!|not\s)"
)


@dataclass(frozen=True)
class JsonForm:
    """A JSON document with the list of lines somewhere in it.

    Attributes:
        document: The document.
        header: What stands around the lines.
        mappings: The lines, as JSON objects if they are any.
    """

    document: Any
    header: JsonObject
    mappings: list[Any]

    def dump(self) -> str:
        """Return the text, keys in their order, with a line end."""
        return dump_document(self.document)

    def extended(self, lines: list[JsonObject]) -> JsonForm:
        """Return the same form with lines at its end, in the spelling of the first."""
        # The lines of the copy are those in its document, too.
        form = copy.deepcopy(self)
        first = form.mappings[0]
        is_old = "destinationXdmPath" in first and "destination" not in first
        # The API's words, where the others have them.
        words = _API_WORDS if first.get("sourceType") in _API_WORDS.values() else {}
        for line in lines:
            kind = line.get("sourceType", "ATTRIBUTE")
            if is_old:
                # Lines of the older spelling are attributes, if they do not say otherwise.
                old = {"sourceAttribute": line["source"], "destinationXdmPath": line["destination"]}
                form.mappings.append(old if kind == "ATTRIBUTE" else {"sourceType": kind, **old})
            else:
                form.mappings.append({**line, "sourceType": words.get(kind, kind)})
        return form


@dataclass(frozen=True)
class CsvForm:
    """A table, with or without headings.

    Attributes:
        rows: All rows, those of headings and those that map nothing included.
        has_headings: Whether the first row has headings.
        columns: Which column has what, by the key that a JSON line has for it.
        delimiter: What stands between the cells.
    """

    rows: list[list[str]]
    has_headings: bool
    columns: dict[str, int]
    delimiter: str

    @property
    def mappings(self) -> list[Any]:
        """The rows that have a source and a destination: the template lists what has none, too."""
        lines = [self._line(row) for row in self.rows[self.has_headings :]]
        return [line for line in lines if line.get("source") and line.get("destination")]

    @property
    def header(self) -> JsonObject:
        """Nothing: there is no place for it."""
        return {}

    def _line(self, row: list[str]) -> JsonObject:
        line: JsonObject = {
            key: row[column].strip() for key, column in self.columns.items() if column < len(row)
        }
        if not line.get("sourceType"):
            computed = _COMPUTED.search(_QUOTED_NAME.sub("x", line.get("source", "")))
            line["sourceType"] = "EXPRESSION" if computed else "ATTRIBUTE"
        return line

    def dump(self) -> str:
        """Return the text of the table."""
        file = io.StringIO()
        csv.writer(file, delimiter=self.delimiter, lineterminator="\n").writerows(self.rows)
        return file.getvalue()

    def extended(self, lines: list[JsonObject]) -> CsvForm:
        """Return the same table with rows at its end."""
        width = max(self.columns.values()) + 1
        rows = []
        for line in lines:
            cells = {"sourceType": "ATTRIBUTE", **line}
            if cells["sourceType"] == "EXPRESSION" and "sourceType" not in self.columns:
                # A path in parentheses is an expression, and means the same.
                cells["source"] = f"({line['source']})"
            row = [""] * max(width, len(self.rows[0]))
            for key, column in self.columns.items():
                row[column] = str(cells.get(key, ""))
            rows.append(row)
        return CsvForm([*self.rows, *rows], self.has_headings, self.columns, self.delimiter)


Form = JsonForm | CsvForm
"""A form that was read."""


def read_form(path: str | PathLike[str], kind: str) -> Form:
    """Read a file of any form: `.csv` and `.tsv` are tables, others what they look like.

    Raises:
        MappingError: If it cannot be read; the message begins with `kind` and path.
    """
    text = read_text(path, kind)
    name = f"{kind} {path}"
    if Path(path).suffix.lower() in {".csv", ".tsv"}:
        return _table(text, name)
    return parse_form(text, name)


def parse_form(text: str, name: str) -> Form:
    """Read text of any form.

    Raises:
        MappingError: If it is of none; the message begins with the name.
    """
    first = text.lstrip()[:1]
    if first and first not in "{[" and _columns(_rows(text, name)[0][0]):
        return _table(text, name)
    return _json_form(parse_json(text, name), name)


def _json_form(document: Any, name: str) -> JsonForm:
    header: Any = document
    if isinstance(document, list):
        header = {"mappings": document}
    elif not isinstance(document, dict):
        raise MappingError([f"{name}: is no JSON object, and no list of lines"])
    elif "mappings" not in document and isinstance(document.get("data"), list):
        if len(document["data"]) != 1:
            raise MappingError([f"{name}: holds {len(document['data'])} mapping sets, not one"])
        header = document["data"][0]
    mappings = header.get("mappings") if isinstance(header, dict) else None
    if not isinstance(mappings, list) or not mappings:
        raise MappingError([f"{name}: it needs a list `mappings` with one line at least"])
    return JsonForm(document, header, mappings)


def _rows(text: str, name: str) -> tuple[list[list[str]], str]:
    line = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise MappingError([f"{name}: is no table of values between commas: {error}"]) from error
    return [row for row in rows if any(cell.strip() for cell in row)] or [[]], delimiter


def _table(text: str, name: str) -> CsvForm:
    rows, delimiter = _rows(text, name)
    columns = _columns(rows[0])
    form = CsvForm(rows, bool(columns), columns or {"source": 0, "destination": 1}, delimiter)
    if not form.mappings:
        raise MappingError([f"{name}: it needs one row at least with a source and a destination"])
    return form


def _columns(first_row: list[str]) -> dict[str, int]:
    """Return which column has what by the headings, nothing if the first row has none."""
    columns: dict[str, int] = {}
    for index, cell in enumerate(first_row):
        heading = _NOT_LETTERS.sub("", cell.lower())
        key = next((key for key, words in _HEADINGS.items() if heading in words), cell.strip())
        columns.setdefault(key, index)
    return columns if {"source", "destination"} <= columns.keys() else {}
