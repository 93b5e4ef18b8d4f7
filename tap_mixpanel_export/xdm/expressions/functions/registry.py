"""What functions there are, and whether a call fits one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from tap_mixpanel_export.xdm.errors import ExpressionError
from tap_mixpanel_export.xdm.expressions.tree import Literal

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.expressions.tree import Call

Lookup = Callable[[tuple[str, ...]], object]
"""Gives the value of an attribute path in one event, None when there is none."""

Evaluator = Callable[[Lookup], object]
"""Computes the value of a part of an expression for one event."""

_NOT_IDEMPOTENT = frozenset(["guid", "now", "rand", "random", "timestamp", "today", "uuid"])

# Named by Data Prep's documentation: they make objects, need data or state of Adobe's, or have no
# use for Mixpanel's events.
_NOT_SUPPORTED = frozenset(
    [
        "add_to_array",
        "array_to_map",
        "arrays_to_map",
        "arrays_to_object",
        "arrays_to_objects",
        "fpid_to_ecid",
        "get_keys",
        "get_url_decoded",
        "get_url_encoded",
        "get_url_host",
        "get_url_path",
        "get_url_port",
        "get_url_protocol",
        "get_url_query_str",
        "get_values",
        "join_arrays",
        "json_to_object",
        "lpad",
        "make_date_time",
        "make_timestamp",
        "map_get_values",
        "map_has_keys",
        "object_to_map",
        "rpad",
        "set_date_part",
        "str_to_object",
        "to_map",
        "to_object",
        "ua_agent_name",
        "ua_agent_version",
        "ua_agent_version_major",
        "ua_device_class",
        "ua_os_name",
        "ua_os_name_version",
        "ua_os_version",
        "ua_os_version_major",
        "upsert_array_append",
        "upsert_array_replace",
    ]
)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the language.

    Attributes:
        name: Its name, letter case included.
        implementation: What computes it.
        parameters: The names of its parameters, for messages.
        minimum: How many arguments it needs.
        maximum: How many it takes; None for any number.
        method: Whether it may follow a value and a dot, which is then its first argument.
        method_only: Whether it has no other form.
        takes_null: Whether it looks at null itself; of the others, any null argument gives null.
        lazy: Whether it evaluates its arguments itself, so that only those needed are.
        takes_path: Whether a text literal stands for an attribute path.
        checks: By the position of an argument, what refuses (ValueError) a literal there.
        literals: The same, of arguments that have to be literals.
    """

    name: str
    implementation: Callable[..., object]
    parameters: str
    minimum: int
    maximum: int | None
    method: bool = False
    method_only: bool = False
    takes_null: bool = False
    lazy: bool = False
    takes_path: bool = False
    checks: Mapping[int, Callable[[str], object]] = field(default_factory=dict)
    literals: Mapping[int, Callable[[str], object]] = field(default_factory=dict)


FUNCTIONS: dict[str, Function] = {}
"""All functions by name."""

_Implementation = TypeVar("_Implementation", bound=Callable[..., object])


def function(*names: str, **traits: Any) -> Callable[[_Implementation], _Implementation]:
    """Register a function under its names; its signature says which arguments it takes.

    Its traits are the attributes of `Function` from `method` on.
    """

    def register(implementation: _Implementation) -> _Implementation:
        parameters = list(inspect.signature(implementation).parameters.values())
        # The first of a lazy one is the lookup.
        parameters = parameters[traits.get("lazy", False) :]
        positional = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
        for name in names:
            FUNCTIONS[name] = Function(
                name=name,
                implementation=implementation,
                parameters=", ".join(
                    p.name.strip("_").upper() + ("…" if p.kind is p.VAR_POSITIONAL else "")
                    for p in parameters
                ),
                minimum=sum(p.default is p.empty for p in positional),
                maximum=len(positional) if positional == parameters else None,
                **traits,
            )
        return implementation

    return register


def check_call(call: Call) -> Function:
    """Find the function of a call and check the call against it.

    Raises:
        ExpressionError: If there is no such function, or the call does not fit it.
    """
    found = FUNCTIONS.get(call.name)
    if found is None:
        raise ExpressionError(_unknown(call.name), call.at)
    if call.receiver is not None and not (found.method or found.method_only):
        reason = f"{call.name} is no method; write {call.name}({found.parameters})"
        raise ExpressionError(reason, call.at)
    if call.receiver is None and found.method_only:
        raise ExpressionError(f"{call.name} is a method; write VALUE.{call.name}(…)", call.at)
    count = len(call.children)
    if count < found.minimum or (found.maximum is not None and count > found.maximum):
        raise ExpressionError(_wrong_count(found, call), call.at)
    for position, check in {**found.checks, **found.literals}.items():
        operand: Any = call.children[position] if position < count else None
        if isinstance(operand, Literal):
            _check_literal(call, operand, check)
        elif operand is not None and position in found.literals:
            parameter = found.parameters.split(", ")[position]
            raise ExpressionError(
                f"{call.name}: {parameter} has to be a text in quotes, the same for each event",
                operand.at,
            )
    return found


def _check_literal(call: Call, operand: Literal, check: Callable[[str], object]) -> None:
    if operand.value is None:
        return
    try:
        check(str(operand.value))
    except ValueError as error:
        raise ExpressionError(f"{call.name}: {error}", operand.at) from None


def _unknown(name: str) -> str:
    if name in _NOT_IDEMPOTENT:
        return (
            f"{name} gives another value in each run, so a repeated event would differ from its "
            "first copy; take an attribute of the event instead"
        )
    if name in _NOT_SUPPORTED:
        return f"Data Prep's function {name} is not supported here"
    near = get_close_matches(name, FUNCTIONS, 1) or [
        known for known in FUNCTIONS if known.lower() == name.lower()
    ]
    return f"there is no function {name}" + (f"; did you mean {near[0]}?" if near else "")


def _wrong_count(found: Function, call: Call) -> str:
    # The receiver of a method is not written between the parentheses.
    written = len(call.arguments)
    implicit = len(call.children) - written
    least, most = found.minimum - implicit, found.maximum
    if most is None:
        wanted = f"{least} or more"
    elif most == found.minimum:
        wanted = f"{least}" if least else "no"
    else:
        wanted = f"{least} to {most - implicit}"
    noun = "argument" if wanted == "1" else "arguments"
    return f"{found.name}({found.parameters}) takes {wanted} {noun}, not {written}"
