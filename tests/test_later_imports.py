"""What the SDK imports and a tap does not use is imported when it is used, and works then."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from tap_mixpanel_export import later_imports
from tap_mixpanel_export.later_imports import imported_later

# In a process of its own: here the SDK has been imported long ago.
STARTED = """
import sys
from tap_mixpanel_export.__main__ import {load}

{load}()
late = {{"joblib", "upath", "fsspec", "isoduration", "arrow", "rfc3987", "regex", "jsonpath_ng"}}
late |= {{"packaging.version", "tap_mixpanel_export.xdm.expressions.compiler"}}
assert "singer_sdk.target_base" in sys.modules
assert not late & sys.modules.keys(), late & sys.modules.keys()

from singer_sdk import about, target_base
from singer_sdk.streams import rest
from singer_sdk.helpers._batch import StorageTarget

# All that the SDK has from them, as it uses it.
with StorageTarget(root="{root}").open("a.txt", "wb") as file:
    file.write(b"a")
with target_base.parallel_config(n_jobs=1):
    assert target_base.Parallel()([target_base.delayed(len)("ab")]) == [2]
assert list(about.get_supported_pythons(">=3.10,<3.12")) == ["3.10", "3.11"]
assert list(rest.extract_jsonpath("$.a[*]", {{"a": [1, 2]}})) == [1, 2]

import isoduration

assert isoduration.parse_duration("P1D")
"""


@pytest.mark.slow
@pytest.mark.parametrize("load", ["_tap", "_mapper"])
def test_a_command_starts_without_what_it_does_not_use(load, tmp_path):
    subprocess.run(
        [sys.executable, "-c", STARTED.format(load=load, root=tmp_path.as_uri())], check=True
    )
    assert (tmp_path / "a.txt").read_bytes() == b"a"


@pytest.fixture
def libraries(monkeypatch, tmp_path):
    """Two libraries that nobody has imported: one that is called, and one that is optional."""
    for name in ("called_library", "optional_library"):
        (tmp_path / f"{name}.py").write_text("def next_of(number):\n    return number + 1\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(later_imports, "_CALLED", ("called_library",))
    monkeypatch.setattr(later_imports, "_OPTIONAL", ("optional_library",))


@pytest.mark.usefixtures("libraries")
def test_a_library_is_imported_when_it_is_called():
    with imported_later():
        from called_library import next_of  # noqa: PLC0415 - the import under test

        with pytest.raises(ImportError):
            import_module("optional_library")
    assert "called_library" not in sys.modules
    assert next_of(1) == 2
    assert sys.modules["called_library"].next_of is not next_of
    assert import_module("optional_library").next_of(2) == 3


@pytest.mark.usefixtures("libraries")
def test_what_was_imported_before_stays_as_it_is():
    called, optional = map(import_module, ("called_library", "optional_library"))
    with imported_later():
        assert import_module("called_library") is called
        assert import_module("optional_library") is optional
    assert sys.modules["called_library"] is called
    assert sys.modules["optional_library"] is optional
