"""The command `mixpanel-export`, with a subcommand for each thing to do without Singer."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import click

from tap_mixpanel_export.config import HOSTS
from tap_mixpanel_export.config.run import quota_of
from tap_mixpanel_export.errors import SettingsError
from tap_mixpanel_export.export.check.checker import MOST_QUERIES, Checker
from tap_mixpanel_export.export.check.finding import Finding, Level, note, ok, problem
from tap_mixpanel_export.export.cli.reading import config_option, read
from tap_mixpanel_export.export.given import bookmark_of, read_settings
from tap_mixpanel_export.export.plan.planning import make_plan
from tap_mixpanel_export.export.plan.probe import probe
from tap_mixpanel_export.export.plan.table import plan_text
from tap_mixpanel_export.json_files import read_json_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_mixpanel_export.export.given import GivenSettings

SETTINGS = "settings"

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tap-mixpanel-export")
def main() -> None:
    """Export raw Mixpanel events without Singer: check the settings, plan a run, read events."""


main.add_command(read)


@main.command()
@config_option
@json_option
def check(configs: tuple[str, ...], *, as_json: bool) -> int:
    """Tell what is wrong before a run does, with at most 6 small queries.

    One line a finding: OK, a note, or a problem with what to do. Exit code 1 when there is a
    problem.
    """
    return run_check(read_settings(configs), as_json=as_json)


def run_check(
    given: GivenSettings, *, as_json: bool = False, region_urls: dict[str, str] | None = None
) -> int:
    """Check settings, and print what is found.

    Args:
        given: The settings.
        as_json: Whether for programs.
        region_urls: The API's address in each region; those of Mixpanel when there are none.

    Returns:
        The exit code.
    """
    addresses = region_urls or {region: f"https://{host}/api/2.0" for region, host in HOSTS.items()}
    findings: list[Finding] = []

    def say(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            if not as_json:
                click.echo(str(finding))

    say(problem(SETTINGS, text) for text in given.problems)
    say(note(SETTINGS, text) for text in given.notices)
    queries = 0
    if given.settings is not None:
        say([ok(SETTINGS, "they can be used")])
        with closing(quota_of(given.settings)) as quota:
            checker = Checker(given.settings, quota, addresses)
            say(checker.run())
            queries = checker.inquiry.queries
    failed = any(finding.level is Level.PROBLEM for finding in findings)
    if as_json:
        told = [finding.to_dict() for finding in findings]
        click.echo(json.dumps({"ok": not failed, "queries": queries, "findings": told}, indent=2))
    else:
        end = "with problems" if failed else "no problem"
        click.echo(f"{end}; {queries} of the hour's queries sent ({MOST_QUERIES} at most)")
    return int(failed)


@main.command()
@config_option
@click.option("--state", metavar="FILE", help="State of an earlier run. Default: a first run.")
@click.option("--no-probe", is_flag=True, help="Send no query: the least that a run can be.")
@json_option
def plan(configs: tuple[str, ...], state: str | None, *, no_probe: bool, as_json: bool) -> int:
    """Tell what a run would do, without doing it.

    Windows and queries, time under the quota, and, from one small query, how many events and bytes.
    """
    given = read_settings(configs)
    if given.settings is None:
        raise SettingsError(given.problems)
    for notice in given.notices:
        click.echo(f"note: {notice}", err=True)
    settings = given.settings
    earlier = {} if state is None else read_json_object("--state", state)
    bookmark = bookmark_of(earlier, settings.zone)
    probed = None
    if not no_probe:
        with closing(quota_of(settings)) as quota:
            probed = probe(settings, quota)
    # A run has a quota of its own, unless it is shared by quota_file: that knows of the probe.
    with closing(quota_of(settings)) as quota:
        planned = make_plan(settings, bookmark, quota, probed)
    click.echo(json.dumps(planned.to_dict(), indent=2) if as_json else plan_text(planned))
    return 0
