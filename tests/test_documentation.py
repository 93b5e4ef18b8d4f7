"""README and the pages are true: every name, link and figure in them is right."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from meltano_project import BIN, ROOT
from readme import STATE_KEYS, blocks, code, prose, read

from docs import places, tables
from docs.about import about
from docs.places import PAGES, README
from tap_mixpanel_export.config import HOSTS
from tap_mixpanel_export.config.unknown import OLD_SETTINGS
from tap_mixpanel_export.records import duplicates as repeats
from tap_mixpanel_export.spark.options import OWN_OPTIONS
from tap_mixpanel_export.sync import download
from tap_mixpanel_export.sync.planner import Planner
from tap_mixpanel_export.sync.windows import Span
from tap_mixpanel_export.timezones import load_zone, wall_to_instant
from tap_mixpanel_export.xdm.mapper.mapper import CONVERSION_WARNING, XdmMapper
from tap_mixpanel_export.xdm.mapper.rejects import MISSING_FIELD
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns

if TYPE_CHECKING:
    from pathlib import Path

UTC = timezone.utc
OWN_FILES = "https://github.com/tap-mixpanel-export/tap-mixpanel-export/blob/main/"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return about()


def test_what_is_generated_is_what_the_code_says(told):
    assert places.read() == places.fill(places.read(), tables.written(told)), "run python -m docs"


def test_what_has_no_place_is_told():
    with pytest.raises(ValueError, match="no place for its weather"):
        places.fill(places.read(), {"weather": "fine"})


def test_a_chapter_has_one_place_only():
    places_of = {(block.chapter, block.place.partition(":")[0]) for block in blocks()}
    assert len({chapter for chapter, _ in places_of}) == len(places_of)


def table(file: Path, heading: str) -> list[list[str]]:
    """Rows of the table of a file whose heading begins like this."""
    text = prose(file)
    rows = re.search(rf"^\| {re.escape(heading)}.*\n\|[-:|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]


def test_every_name_in_the_text_is_one_of_the_project(told):
    columns = {column.name for column in derive_columns(load_mapping())}
    others = table(PAGES / "from-tap-mixpanel.md", "there")
    old = {name.partition(":")[0] for row in others for name in code(row[0])}
    assert old == set(OLD_SETTINGS)
    known = {
        *told["settings"]["properties"],
        *XdmMapper.config_jsonschema["properties"],
        *columns,
        *STATE_KEYS,
        "lookback_from",
        "event_id",
        "TAP_MIXPANEL_EXPORT_PROJECT_ID",
        "TAP_MIXPANEL_EXPORT_QUOTA_FILE",
        # Of the examples for Airflow and Dagster.
        "MIXPANEL_FOLDER",
        "MIXPANEL_ALERTS_URL",
        # Given by the examples.
        "cart_total",
        "mp_original_event_name",
        "mp_original_distinct_id",
        "FIELD_GROUP_ID",
        "SCHEMA_ID",
        # Of the other tap, of loaders, of Meltano and of requests.
        *old,
        "do_timestamp_file",
        "file_naming_scheme",
        "overwrite_behavior",
        "add_metadata_columns",
        "use_copy",
        "validate_records",
        "custom_name",
        "destination_path",
        "time_extracted",
        "read_parquet",
        "aws_endpoint_override",
        "cloud_provider",
        "engine_type",
        "max_batch_size",
        "batch_size",
        # Of dbt.
        "dbt_mixpanel",
        "_fivetran_id",
        # Of tap-mixpanel.
        "mp_reserved_",
        "pip_url",
        # Options of Spark's source, and of dlt.
        *OWN_OPTIONS,
        "loader_file_format",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
    }
    names = set(re.findall(r"`([A-Za-z]+(?:_[A-Za-z]+)+)(?:`|: )", prose()))
    assert names - known == set()
    ours = {name.partition(":")[0] for row in others for name in code(row[1])}
    others = {"events", "properties", "--state", "meltano state set"}
    assert ours - others <= set(told["settings"]["properties"])


def test_the_columns_in_the_table_are_those_of_the_stream():
    names = [name for row in table(README, "column") for name in code(row[0])]
    columns = {column.name for column in derive_columns(load_mapping())}
    assert set(names) == {"event_id", "timestamp", "properties"} | columns
    assert f"the {len(columns)} attributes" in re.sub(r"\s+", " ", prose())


def test_the_hosts_in_the_table_are_those_of_the_tap():
    rows = table(PAGES / "settings.md", "`region`")
    assert {code(region)[0]: code(host)[0] for region, host in rows} == HOSTS


@pytest.mark.slow
def test_options_in_the_text_are_those_of_the_commands():
    told = "".join(
        subprocess.run(
            [BIN / name, *more, "--help"], check=True, capture_output=True, text=True
        ).stdout
        for name, *more in (
            ["mixpanel-sandbox"],
            ["mixpanel-xdm", "infer"],
            ["mixpanel-export", "check"],
            ["mixpanel-export", "plan"],
            ["mixpanel-export", "read"],
            ["tap-mixpanel-export"],
            ["meltano", "run"],
            ["meltano", "add"],
            ["mkdocs", "build"],
        )
    )
    options = {
        o for snippet in code(prose()) for o in re.findall(r"(?<!\S)--[a-z][a-z-]*", snippet)
    }
    assert {option for option in options if option not in told} == set()


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(file), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", places.files(), ids=lambda file: file.name)
def test_links_lead_somewhere(file):
    for link in re.findall(r"\]\(([^)]+)\)", prose(file)):
        # What is not a page of the site has to be named in full there.
        inside = link.removeprefix(OWN_FILES)
        path, _, anchor = inside.partition("#")
        target = (ROOT if inside != link else file.parent) / path if path else file
        if inside.startswith("https://"):
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_page_is_found_from_the_readme_and_the_index():
    for start in (README, PAGES / "index.md"):
        linked = {link.rpartition("/")[2] for link in re.findall(r"\]\(([^)#]+)", prose(start))}
        pages = {page.name for page in PAGES.glob("*.md")} - {"index.md"}
        assert pages - linked == set()


@pytest.mark.parametrize("other", ["tap-mixpanel", "airbyte", "fivetran"])
def test_who_comes_from_elsewhere_finds_the_page_on_the_first_screen(other):
    first_screen = README.read_text(encoding="utf-8").splitlines()[:24]
    assert f"(docs/pages/from-{other}.md)" in "\n".join(first_screen)


def test_the_folders_that_contributing_names_exist():
    package = ROOT / "tap_mixpanel_export"
    named = {name for row in table(ROOT / "CONTRIBUTING.md", "folder") for name in code(row[0])}
    assert {"xdm/", "records/", "sandbox/", "tap.py"} <= named
    assert [name for name in named if not (package / name).exists()] == []


def duration(seconds: float) -> str:
    hour = 3600
    if seconds < hour:
        return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
    if seconds < 72 * hour:
        return f"{seconds / hour:.1f} h"
    return f"{seconds / 24 / hour:,.0f} days"


def test_what_large_loads_take_follows_from_what_was_measured():
    page = PAGES / "beyond-one-machine.md"
    text = re.sub(r"\s+", " ", prose(page))
    rate = int(re.search(r"a core takes: ([\d,]+) events", text)[1].replace(",", ""))
    on_disk = int(re.search(r"on disk meanwhile, (\d+) bytes each", text)[1])
    days = 3650
    for row in table(page, "events a day"):
        cells = [cell.strip("| ") for cell in row]
        events, days_a_query, queries = (int(cell.replace(",", "")) for cell in cells[:3])
        gigabytes = events * days_a_query * on_disk / 1e9
        seconds = [max(queries * 60, days * events / rate / cores) for cores in (1, 16, 100)]
        assert queries == -(-days // days_a_query)
        assert cells[3:] == [
            f"{queries / 60:.0f}",
            duration(events * days_a_query / rate),
            f"{gigabytes:,.{1 if gigabytes < 100 else 0}f} GB",
            *map(duration, seconds),
        ]
    assert f"10 million events takes a core {duration(1e7 / rate)}." in text
    results = (ROOT / "benchmarks" / "results.md").read_text()
    (measured,) = re.findall(
        r"^\| the same, written as Parquet \| 500,000 \| .*$", results, re.MULTILINE
    )
    assert f"| {rate // 1000}," in measured
    of_parts = table(ROOT / "benchmarks" / "results.md", "parts")
    shares = {row[0].strip("| "): row[3].split()[0] for row in of_parts}
    assert (
        f"one of 4 takes {shares['4']} of the day's time, one of 24 takes {shares['24']} (" in text
    )
    assert of_parts[0][-1].strip("| ") == str(on_disk)


def test_rates_on_the_page_are_those_of_the_benchmark():
    results = (ROOT / "benchmarks" / "results.md").read_text()
    page = PAGES / "beyond-one-machine.md"
    rates = [row[1].strip("*") for row in table(page, "what")]
    rates += [row[2].strip("| ") for row in table(page, "way")]
    assert len(rates) >= 18
    assert [rate for rate in rates if f"| {rate} " not in results] == []


def queries_of_five_years() -> int:
    """How many windows a small project's five years take."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    planner = Planner(
        Span(
            zone=UTC,
            start=now - timedelta(days=5 * 365),
            start_is_given=True,
            end=None,
            end_is_day=False,
            last_day=None,
            bookmark=None,
            lookback=timedelta(days=5),
            max_days=366,
        )
    )
    planner.start_clock(now)
    in_flight, count = deque(), 0
    while (window := planner.next()) is not None:
        count += 1
        in_flight.append(window)
        # Two of them while windows grow: the second one is planned before the first one is done.
        if len(in_flight) == 2:
            planner.observe(in_flight.popleft(), 10_000)
    return count


def test_figures_in_the_text_are_those_of_the_code(told):
    defaults = {
        name: schema.get("default") for name, schema in told["settings"]["properties"].items()
    }
    wall = datetime(2022, 5, 17, 22, 5, 48)  # noqa: DTZ001 - what the project's clocks show
    instant = wall_to_instant(wall, load_zone("America/Los_Angeles"))
    claims = [
        f"(the window is asked for again, up to {download._TRIES_OF_SEVERAL_DAYS} times",
        f"({download._TRIES_OF_ONE_DAY} for one day)",
        f"else 1 s doubling to {download._LONGEST_WAIT_SECONDS} s",
        f"`processing_delay_minutes` ({defaults['processing_delay_minutes']}",
        f"plus {repeats.ENTRY.size} bytes an event",
        f"grow up to {defaults['max_window_days']} days",
        f"the `lookback_days` ({defaults['lookback_days']}:",
        f"`error_threshold_percent` ({defaults['error_threshold_percent']})",
        f"{defaults['max_queries_per_hour']} queries an hour and 3 a second",
        f"some {round(queries_of_five_years(), -1)} queries",
        f"comes as {int(wall.replace(tzinfo=UTC).timestamp())}",
        f"the instant is {int(instant.timestamp())}",
        f"`{CONVERSION_WARNING}`",
        f"`{MISSING_FIELD}`",
    ]
    text = re.sub(r"\s+", " ", read())
    assert [claim.lstrip("(") for claim in claims if claim.lstrip("(") not in text] == []
