"""The report's page in a real browser: what it draws, how it is reached, and what it refuses."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from browser import ARGUMENTS, CHROMIUM, document, failed

from tap_mixpanel_export.report.page import render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    # Playwright's own event loop leaves sockets to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "a\x1b]0;title\x07b\u202ec",
    "x" * 5000,
    '=HYPERLINK("http://evil.example")',
    "__proto__",
)
IMAGES = Path(__file__).parents[2] / "docs" / "pages" / "images"


@pytest.fixture(scope="module")
def browser():
    # Takes half a second, and the tests of this file alone need it.
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens runs as a page from a file; fails on anything that the console or network sees."""
    trouble: list[str] = []
    pages = []

    def open_page(*runs, width=1280, scheme="light"):
        path = tmp_path / "index.html"
        path.write_text(render(runs), encoding="utf-8")
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US"
        )
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: None if request.url == path.as_uri() else trouble.append(request.url),
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert trouble == []


def heights(page, series) -> list[float]:
    return [
        float(h)
        for h in page.locator(f".{series} rect").evaluate_all(
            "r => r.map(x => x.getAttribute('height'))"
        )
    ]


def test_draws_a_bar_a_day_as_high_as_its_events(show) -> None:
    run = document(days=366)
    page = show(run)
    days = page.locator(".day rect")
    assert days.count() == 366
    on_time, late = heights(page, "on-time"), heights(page, "late")
    assert len(on_time) == len(late) == 366
    # Pixels are proportional to events: late ones as much as all.
    scale = sum(on_time + late) / sum(run["eventsPerDay"].values())
    assert sum(late) / scale == pytest.approx(sum(run["latePerDay"].values()), rel=0.01)
    gaps = [
        name for name in days.evaluate_all("r => r.map(x => x.ariaLabel)") if "no events" in name
    ]
    assert len(gaps) == 366 - len(run["eventsPerDay"])
    assert gaps
    told = [
        int(re.search(r": ([\d,]+) event", name)[1].replace(",", ""))
        for name in days.evaluate_all("r => r.map(x => x.ariaLabel)")
        if "no events" not in name
    ]
    assert sum(told) == sum(run["eventsPerDay"].values())


def test_a_run_of_one_day_is_a_chart_of_two_weeks(show) -> None:
    run = document(days=1)
    page = show(run)
    names = page.locator(".day rect").evaluate_all("r => r.map(x => x.ariaLabel)")
    assert len(names) == 14
    # Days that were not asked for are no days without events.
    assert sum("nothing new" in name for name in names) == 13
    assert names[-1].startswith("Wednesday, November 25, 2026: 2,")


def test_draws_ten_years_by_week_or_month_and_lists_each_day(show) -> None:
    run = document(days=3650)
    page = show(run)
    assert page.locator(".day rect").count() == -(-3650 // 30)
    page.get_by_text("As a table").first.click()
    assert page.locator("table").first.locator("tbody tr").count() == 3650


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "runs",
    [
        (document(days=366), *(document(n) for n in range(1, 30)), failed(30)),
        (failed(),),
        (
            document(
                days=0, windows=[], waits=[], outputRecordCount=0, headline="Complete: no events"
            ),
        ),
    ],
    ids=["a year", "failed", "no events"],
)
def test_is_accessible_and_fits(show, runs, width, scheme) -> None:
    page = show(*runs, width=width, scheme=scheme)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    results = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in results if v["impact"] != "minor"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A year of days is seen without scrolling within the chart.
    assert all(
        box["width"] <= width for box in (c.bounding_box() for c in page.locator(".chart").all())
    )


def test_a_day_is_reached_by_keyboard_and_read_by_name(show) -> None:
    run = document(days=30)
    page = show(run)
    while not page.evaluate("document.activeElement.closest('.day') !== null"):
        page.keyboard.press("Tab")
    newest = run["eventsPerDay"]["2026-11-25"]
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert name.startswith(f"Wednesday, November 25, 2026: {newest:,} events")
    page.keyboard.press("ArrowLeft")
    assert "November 24, 2026" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "November 24, 2026" in page.locator(".told").first.inner_text()
    page.keyboard.press("Home")
    assert "October 27, 2026" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    # One stop of the Tab key for all days.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.day') === null")


def test_hostile_names_are_text(show) -> None:
    counts = dict.fromkeys(HOSTILE, 7)
    page = show(
        document(
            eventNames=counts,
            unmappedProperties=dict.fromkeys(HOSTILE, 0.5),
            conversionWarnings=counts,
            conversionKinds=dict.fromkeys(HOSTILE, HOSTILE[0]),
            headline=HOSTILE[0] + HOSTILE[1],
            error=HOSTILE[1],
        )
    )
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    for name in HOSTILE:
        assert page.locator("td, th", has_text=name[:20]).count() >= 1
    page.get_by_text("Events by name as CSV").click()
    csv = page.get_by_label("Events by name as CSV").input_value()
    # A spreadsheet does not run it.
    assert '"\'=HYPERLINK(""http://evil.example"")",7' in csv


def test_an_older_run_is_shown_when_it_is_chosen(show) -> None:
    page = show(document(), failed(1), document(2))
    page.locator("#run").select_option(index=1)
    assert "502" in page.locator(".headline").inner_text()
    assert page.locator(".headline.failed").count() == 1
    assert page.locator(".run rect").count() == 9


def test_the_timeline_names_windows_and_waits(show) -> None:
    page = show(document())
    names = page.locator(".window rect").evaluate_all("r => r.map(x => x.ariaLabel)")
    assert len(names) == 9
    assert names[0].startswith("Proof of the filter, 2026-01-01 to 2026-01-28: written, ")
    assert "2 tries" in names[5]
    assert "until 16:37 UTC" in names[-1]


def test_the_pictures_in_the_documentation_are_of_this_page(show) -> None:
    for scheme in SCHEMES:
        page = show(
            document(days=366), *(document(n) for n in range(1, 30)), width=1280, scheme=scheme
        )
        shot = page.screenshot(full_page=False)
        path = IMAGES / f"report-{scheme}.png"
        if "REWRITE_IMAGES" in os.environ:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shot)
        # Fonts differ from machine to machine; that there is one, of the same size, is checked.
        assert path.read_bytes()[:24] == shot[:24]
