"""Runs of the tap in this process, with a catalog or a mode that a user would choose."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

from fake_time import FakeTime, machine_at
from harness import config_for

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.output import messages
from tap_mixpanel_export.streams import EventsStream
from tap_mixpanel_export.tap import TapMixpanelExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_mixpanel_export.sandbox import Sandbox


@contextmanager
def quick_taps() -> Iterator[None]:
    """Taps whose quota takes no time."""
    time = FakeTime()
    limiter = partial(open_quota, clock=time.clock, wait=time.wait)
    with ExitStack() as stack:
        stack.enter_context(mock.patch("tap_mixpanel_export.config.run.open_quota", limiter))
        yield


_MAPPED = mock.patch.object(messages, "is_plain", return_value=False)

WAYS = {
    "": [],
    "through maps, properties as text": [_MAPPED],
    "through maps": [_MAPPED, mock.patch.object(messages, "reads_properties", return_value=True)],
    "through the SDK, one by one": [
        mock.patch.object(EventsStream, "ABORT_AT_RECORD_COUNT", new=10**9)
    ],
}
"""The ways that records can go from the spool to stdout."""


def tap_output(
    sandbox: Sandbox,
    *,
    state: dict[str, Any] | None = None,
    choose: Callable[[dict[str, Any]], None] | None = None,
    way: str = "",
    **settings: Any,
) -> list[bytes]:
    """The messages of a run, as lines.

    Args:
        sandbox: The service.
        state: The state to start from.
        choose: Changes the discovered stream's entry of the catalog, as a user does.
        way: A key of `WAYS`, to have records go another way than they would.
        **settings: Settings besides those of `config_for`.
    """
    config = config_for(sandbox, **settings)
    with ExitStack() as stack:
        stack.enter_context(quick_taps())
        # This machine's clock is the service's.
        stack.enter_context(machine_at(sandbox.clock.now))
        catalog = None
        if choose is not None:
            catalog = json.loads(json.dumps(TapMixpanelExport(config=config).catalog_dict))
            choose(catalog["streams"][0])
        for patch in WAYS[way]:
            stack.enter_context(patch)
        tap = TapMixpanelExport(config=config, catalog=catalog, state=state)
        binary = io.BytesIO()
        stdout = io.TextIOWrapper(binary, encoding="utf-8")
        stack.enter_context(redirect_stdout(stdout))
        tap.sync_all()
        return binary.getvalue().splitlines()


def deselect(*breadcrumbs: tuple[str, ...]) -> Callable[[dict[str, Any]], None]:
    """A choice for `tap_output`: everything but some columns or what is inside of them."""

    def choose(stream: dict[str, Any]) -> None:
        for breadcrumb in breadcrumbs:
            entry = {"breadcrumb": list(breadcrumb), "metadata": {"selected": False}}
            stream["metadata"] = [
                m for m in stream["metadata"] if m["breadcrumb"] != list(breadcrumb)
            ] + [entry]

    return choose
