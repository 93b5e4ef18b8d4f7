"""A local stand-in for Mixpanel's Raw Event Export API, strict, and faulty on demand.

`Sandbox` runs it inside a test, the command `mixpanel-sandbox` around any program. Importing this
package needs no Singer SDK.
"""

from __future__ import annotations

from tap_mixpanel_export.sandbox.behaviour import Behaviour, BehaviourError
from tap_mixpanel_export.sandbox.clock import SandboxClock
from tap_mixpanel_export.sandbox.credentials import Credentials
from tap_mixpanel_export.sandbox.events import Event, Verbatim
from tap_mixpanel_export.sandbox.faults import Fault, ScenarioError
from tap_mixpanel_export.sandbox.generator import Generated, generate
from tap_mixpanel_export.sandbox.limits import Limits
from tap_mixpanel_export.sandbox.request_log import LoggedRequest
from tap_mixpanel_export.sandbox.sandbox import Sandbox
from tap_mixpanel_export.sandbox.scenario import Scenario, load_scenario

__all__ = [
    "Behaviour",
    "BehaviourError",
    "Credentials",
    "Event",
    "Fault",
    "Generated",
    "Limits",
    "LoggedRequest",
    "Sandbox",
    "SandboxClock",
    "Scenario",
    "ScenarioError",
    "Verbatim",
    "generate",
    "load_scenario",
]
