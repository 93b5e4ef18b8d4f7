from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdm_samples import mapping_set_of

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.mapping_set import (
    Identity,
    MappingSet,
    SourceType,
    parse_path,
    source_text,
)

LINE = {"sourceType": "ATTRIBUTE", "source": "data.plan", "destination": "_extconndev.plan"}


def set_of(*lines: object) -> str:
    return json.dumps({"version": 0, "mappings": list(lines)})


def problems_of(text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        mapping_set_of(text)
    return caught.value.problems


BUILT_IN = resources.files("tap_mixpanel_export.xdm").joinpath("data/mapping_set.json")
LEGACY = Path(__file__).with_name("mapping_set_legacy.json")


def test_both_spellings_of_the_built_in_set_say_the_same():
    old, new = MappingSet.load(LEGACY), MappingSet.load()
    assert [(line.source_path, line.destination_path) for line in old.lines] == [
        (line.source_path, line.destination_path) for line in new.lines
    ]
    assert [line.number for line in new.lines] == list(range(1, 15))
    assert new.lines[0].source_path == ("distinct_id",)
    assert new.lines[11].destination == "_id"


@pytest.mark.parametrize("file", [BUILT_IN, LEGACY])
def test_the_built_in_sets_come_back_as_they_are(file):
    text = file.read_text(encoding="utf-8")
    assert mapping_set_of(text).dump() == text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), children, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(
    extra=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=6), json_values, max_size=4
    ),
    line_extra=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=6), json_values, max_size=4
    ),
)
def test_load_then_dump_is_the_same_json_with_keys_in_order(extra, line_extra):
    document = {**extra, "mappings": [{**line_extra, **LINE}]}
    text = json.dumps(document)
    dumped = mapping_set_of(text).dump()
    assert json.dumps(json.loads(dumped)) == text


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("data.distinct_id", ("distinct_id",)),
        ("distinct_id", ("distinct_id",)),
        ("data.Plan Name", ("Plan Name",)),
        ("${data.Plan Name}", ("Plan Name",)),
        (r"data.Plan\.Name", ("Plan.Name",)),
        (r"${data.Plan\.Name}", ("Plan.Name",)),
        ("data.cart.total", ("cart", "total")),
        ("data.$city", ("$city",)),
        ("data.data", ("data",)),
        ("data", ("data",)),
        (r"data.a\[0]", ("a[0]",)),
    ],
)
def test_sources_are_read_with_their_escapes(source, path):
    [line] = mapping_set_of(set_of({**LINE, "source": source})).lines
    assert line.source_path == path


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=3))
def test_a_source_text_is_read_back(names):
    assert parse_path(source_text(tuple(names))) == ("data", *names)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=r"a.[]0*$\{} é", min_size=1, max_size=8))
def test_a_source_text_is_read_back_whatever_it_is_made_of(name):
    assert parse_path(source_text((name,))) == ("data", name)


def test_identity_flags_are_read_in_either_spelling():
    flags = {"identity": True, "identityPrimary": True, "namespaceCode": "Email"}
    new, old, none = mapping_set_of(
        set_of(
            {**LINE, **flags},
            {"sourceAttribute": "data.a", "destinationXdmPath": "_t.a", **flags},
            {**LINE, "identity": False, "identityPrimary": False, "namespaceCode": None},
        )
    ).lines
    assert new.identity == old.identity == Identity("Email", primary=True)
    assert none.identity is None
    assert old.source_type is SourceType.ATTRIBUTE


def test_all_problems_are_told_at_once_with_number_and_destination():
    found = problems_of(
        set_of(
            {**LINE, "sourceType": "FORMULA"},
            LINE,
            {"sourceType": "ATTRIBUTE", "destination": "_t.x"},
            {**LINE, "destination": ""},
            {**LINE, "source": "data.items[0].sku"},
            {**LINE, "sourceType": "STATIC", "source": ""},
            "text",
            {**LINE, "source": "data..x"},
        )
    )
    assert [problem.split(":")[0] for problem in found] == [
        "mapping 1 (_extconndev.plan)",
        "mapping 3 (_t.x)",
        "mapping 4 ()",
        "mapping 5 (_extconndev.plan)",
        "mapping 6 (_extconndev.plan)",
        "mapping 7",
        "mapping 8 (_extconndev.plan)",
    ]
    assert found[0].endswith(
        "unknown sourceType 'FORMULA', it is one of ATTRIBUTE, EXPRESSION, STATIC"
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "is no JSON, line 1 column 2"),
        ("[]", "needs a list `mappings` with one line"),
        ("5", "is no JSON object, and no list"),
        ('{"data": []}', "holds 0 mapping sets, not one"),
        ('{"data": [{}, {}]}', "holds 2 mapping sets, not one"),
        ('{"data": [5]}', "needs a list `mappings`"),
        ("source,destination\n", "one row at least"),
        ('source,destination\n"a', "no table"),
        ("{}", "needs a list `mappings`"),
        ('{"mappings": []}', "needs a list `mappings`"),
        ('{"version": 0, "version": 1, "mappings": []}', "'version' stands twice"),
        ('{"version": NaN}', "NaN is no JSON"),
        ('{"mappings": ' + "[" * 100_000, "nested too deeply"),
    ],
    ids=[
        "cut",
        "list",
        "number",
        "none",
        "two",
        "no set",
        "headings",
        "quote",
        "empty",
        "no lines",
        "twice",
        "nan",
        "deep",
    ],
)
def test_a_broken_file_is_named_as_what_it_is(text, part):
    [problem] = problems_of(text)
    assert part in problem


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path):
    with pytest.raises(MappingError, match="No such file"):
        MappingSet.load(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"x": "\xe9"}')
    with pytest.raises(MappingError, match="is not UTF-8 at byte 7"):
        MappingSet.load(tmp_path / "latin.json")


def test_a_byte_order_mark_is_no_problem(tmp_path):
    file = tmp_path / "bom.json"
    file.write_bytes(b"\xef\xbb\xbf" + set_of(LINE).encode())
    assert len(MappingSet.load(file).lines) == 1
