"""The mapper as a command: what it says and how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest
from processes import start
from xdm_samples import SIGN_UP, attribute, mapping_set, raw, record_message, schema_message


def run(*arguments: str, stdin: str = "", env=None) -> subprocess.CompletedProcess[str]:
    program = "from tap_mixpanel_export.__main__ import map_mixpanel_xdm; map_mixpanel_xdm()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )


@pytest.mark.slow
def test_bad_settings_end_with_all_problems_and_no_traceback(files, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    settings_file = files.write(
        "config.json",
        {
            "mapping_file": files.write(
                "m.json", mapping_set(attribute("data.a", "_extconndev.a"))
            ),
            "error_threshold_percent": 101,
            "diagnostics_dir": str(blocked),
        },
    )
    result = run("--config", settings_file, stdin=raw(schema_message()) + "\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    for part in ("error_threshold_percent: must", "diagnostics_dir: ", "mapping 1 (_extconndev.a)"):
        assert part in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stdin", "part"),
    [
        ("hello\n", "Line 1 of the input is no Singer message"),
        ('{"type": "NEWS"}\n', "unknown type 'NEWS'"),
        (raw(record_message(SIGN_UP)) + "\n", "came before its SCHEMA"),
        (
            raw(schema_message())
            + '\n{"type": "BATCH", "stream": "events", "encoding": {}, "manifest": []}\n',
            "Remove batch_config",
        ),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(stdin, part):
    result = run(stdin=stdin)
    assert result.returncode == 1
    assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert "u1" not in result.stderr


@pytest.mark.slow
def test_a_missing_config_file_ends_with_a_message():
    result = run("--config", "none.json")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "none.json" in result.stderr


@pytest.mark.slow
def test_the_input_option_and_the_environment_work(tmp_path):
    file = tmp_path / "in.singer"
    file.write_text(raw(schema_message()) + "\n" + raw(record_message(SIGN_UP)) + "\n")
    import os  # noqa: PLC0415

    env = {**os.environ, "MAP_MIXPANEL_XDM_ERROR_THRESHOLD_PERCENT": "7.5"}
    result = run("--config=ENV", "--input", str(file), env=env)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2
    env["MAP_MIXPANEL_XDM_ERROR_THRESHOLD_PERCENT"] = "many"
    assert "'many' is not of type 'number'" in run("--config=ENV", env=env).stderr


@pytest.mark.slow
def test_a_target_that_stops_reading_ends_the_run_without_a_traceback(tmp_path):
    file = tmp_path / "in.singer"
    lines = [raw(schema_message()), *[raw(record_message(SIGN_UP))] * 2000]
    file.write_text("\n".join(lines) + "\n")
    program = "from tap_mixpanel_export.__main__ import map_mixpanel_xdm; map_mixpanel_xdm()"
    with file.open() as stdin:
        process = start(
            [sys.executable, "-c", program],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 1
    assert "stdout was closed by the program that reads it" in errors
    assert "Traceback" not in errors
