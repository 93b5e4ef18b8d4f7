"""Mapping sets in the forms that Adobe's API and user interface give them, and back."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdm_samples import mapping_set_of

from tap_mixpanel_export.xdm.cli.infer import extended_mapping_set, propose
from tap_mixpanel_export.xdm.cli.payloads import identity_descriptors
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.binding import bind
from tap_mixpanel_export.xdm.mapping.mapping_set import MappingSet, SourceType, source_text
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup

ATTRIBUTE, EXPRESSION = SourceType.ATTRIBUTE, SourceType.EXPRESSION


def api_line(source_type, source, destination, **more):
    """A line as GET /mappingSets/{ID} gives it."""
    return {
        "id": "7bbea5c0f0ef498aa20aa2e2e5c22290",
        "version": 0,
        "createdDate": 1568047685000,
        "sourceType": source_type,
        "source": source,
        "destination": destination,
        "identity": False,
        "primaryIdentity": False,
        "matchScore": 0.0,
        "sourceAttribute": source,
        "destinationXdmPath": destination,
        **more,
    }


LINES = [
    api_line("text/x.schema-path", "data.$city", "_acme.city"),
    api_line("text/x.aep-xl", "concat(data.$city, '!')", "_acme.loud"),
    api_line(
        "text/x.schema-path",
        "data.email",
        "_acme.email",
        identity=True,
        primaryIdentity=True,
        namespaceCode="Email",
    ),
]
API = {
    "id": "ab91c736-1f3d-4b09-8424-311d3d3e3cea",
    "version": 1,
    "inputSchemaRef": {"id": None, "contentType": None},
    "outputSchemaRef": {"id": "https://ns.adobe.com/acme/schemas/417a", "contentType": "1.0"},
    "mappings": LINES,
}
FORMS = {
    "set": API,
    "list of lines": LINES,
    "list of sets": {"data": [API], "_links": {}},
}
TEMPLATE = """\
Source Field,Target Field
data.$city,_acme.city
"concat(data.$city, '!')",_acme.loud
data.email,_acme.email
data.unmapped,
,_acme.unfilled
"""
OTHER_ORDER = """\
target,Mapping type,Source data,note
_acme.city,ATTRIBUTE,data.$city,x
_acme.loud,text/x.aep-xl,"concat(data.$city, '!')",
_acme.email,text/x.schema-path,data.email,z
"""


def kinds(mapping_set):
    return [(line.source_type, line.source_path, line.destination) for line in mapping_set.lines]


EXPECTED = [
    (ATTRIBUTE, ("$city",), "_acme.city"),
    (EXPRESSION, (), "_acme.loud"),
    (ATTRIBUTE, ("email",), "_acme.email"),
]


def bound(mapping_set):
    fields = {name: {"type": "string"} for name in ("city", "loud", "email")}
    group = {"properties": {"_acme": {"type": "object", "properties": fields}}}
    return bind(mapping_set, FieldGroup.of(group))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_the_api_gives_is_read_and_comes_back_as_it_is(form):
    mapping_set = mapping_set_of(json.dumps(form))
    assert kinds(mapping_set) == EXPECTED
    assert json.loads(mapping_set.dump()) == form
    assert mapping_set.lines[2].identity.primary
    assert mapping_set.lines[1].identity is None
    assert bound(mapping_set).lines[1].expression is not None


def test_the_schema_that_the_api_names_is_that_of_the_descriptors():
    [descriptor] = identity_descriptors(bound(mapping_set_of(json.dumps(API))))
    assert descriptor["xdm:sourceSchema"] == "https://ns.adobe.com/acme/schemas/417a"


@pytest.mark.parametrize(
    "text",
    [
        TEMPLATE,
        TEMPLATE.replace("Source Field,Target Field\n", ""),
        "\ufeff" + TEMPLATE.replace("\n", "\r\n"),
        OTHER_ORDER,
        OTHER_ORDER.replace(",", ";").replace("$city; ", "$city, "),
        OTHER_ORDER.replace(",", "\t").replace("$city\t ", "$city, "),
    ],
    ids=["template", "no headings", "Windows", "other order", "semicolons", "tabs"],
)
def test_the_template_of_the_user_interface_is_read(text, tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text(text, encoding="utf-8", newline="")
    mapping_set = MappingSet.load(path)
    assert kinds(mapping_set) == EXPECTED
    # The same table again, to the cell; also what maps nothing.
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=sniffed(text)))
    again = list(csv.reader(io.StringIO(mapping_set.dump()), delimiter=sniffed(text)))
    assert again == [row for row in rows if row]


def sniffed(text):
    return max(",;\t", key=text.split("\n")[0].count)


def test_a_table_without_its_suffix_is_known_by_its_headings():
    assert kinds(mapping_set_of(TEMPLATE)) == EXPECTED
    with pytest.raises(MappingError, match="is no JSON"):
        mapping_set_of("data.$city,_acme.city\n")


@pytest.mark.parametrize(
    ("source", "source_type"),
    [
        ("data.Plan Name", ATTRIBUTE),
        ("${data.a (b)}", ATTRIBUTE),
        (r"data.a\(b\)", ATTRIBUTE),
        ("data.utm-source", ATTRIBUTE),
        ("data.cart.total", ATTRIBUTE),
        ("data.a + 1", EXPRESSION),
        ("'mixpanel'", EXPRESSION),
        ("data.a.upper()", EXPRESSION),
        ("12.5", EXPRESSION),
        ("true", EXPRESSION),
        ("!data.a", EXPRESSION),
        ("data.a and data.b", EXPRESSION),
        ("data.android", ATTRIBUTE),
    ],
)
def test_a_table_tells_attributes_from_expressions(source, source_type):
    file = io.StringIO()
    csv.writer(file).writerows([["source", "destination"], [source, "_acme.city"]])
    [line] = mapping_set_of(file.getvalue()).lines
    assert line.source_type is source_type


names = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=6)
lines = st.lists(
    st.builds(
        api_line,
        st.sampled_from(["ATTRIBUTE", "text/x.schema-path"]),
        names.map(lambda name: source_text((name,))),
        st.integers(0, 99).map(lambda number: f"_acme.f{number}"),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(lines, st.sampled_from(["set", "lines", "sets", "csv", "csv;"]))
def test_whatever_form_is_read_comes_back_and_takes_more_lines(mappings, kind):
    if kind.startswith("csv"):
        file = io.StringIO()
        writer = csv.writer(file, delimiter=kind[3:] or ",", lineterminator="\n")
        writer.writerow(["source", "destination"])
        writer.writerows([line["source"], line["destination"]] for line in mappings)
        text = file.getvalue()
    else:
        around = {"set": {"x": 1, "mappings": mappings}, "lines": mappings}
        text = json.dumps(around.get(kind, {"data": [{"mappings": mappings}]}))
    mapping_set = mapping_set_of(text)
    assert kinds(mapping_set_of(mapping_set.dump())) == kinds(mapping_set)
    assert type(mapping_set_of(mapping_set.dump()).form) is type(mapping_set.form)
    if kind.startswith("csv"):
        assert mapping_set.dump() == text
    else:
        assert json.loads(mapping_set.dump()) == json.loads(text)
    more = mapping_set.extended([{"source": "data.new", "destination": "_acme.new", "name": "n"}])
    assert more.dump().startswith(mapping_set.dump()[: len(text) // 3])
    read = mapping_set_of(more.dump())
    assert kinds(read) == [*kinds(mapping_set), (ATTRIBUTE, ("new",), "_acme.new")]


def test_infer_adds_its_lines_in_the_spelling_of_the_set():
    mapping = bound(mapping_set_of(json.dumps(LINES)))
    _, proposals = propose(mapping, [{"plan": "free"}])
    added = json.loads(extended_mapping_set(mapping, proposals).dump())[-1]
    assert added["sourceType"] == "text/x.schema-path"
    assert added["source"] == "data.plan"
