"""A `batch_config` that cannot work is refused before any request, in words."""

from __future__ import annotations

import importlib.util
import os

import pytest
from commands import command, start
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.tap import TapMixpanelExport

GOOD = {"service_account_username": "u", "service_account_secret": "hush", "project_id": 1}
JSONL = {"format": "jsonl", "compression": "gzip"}


def problems_of(batch_config, **others):
    with pytest.raises(ConfigValidationError) as caught:
        TapMixpanelExport(config={**GOOD, "batch_config": batch_config, **others})
    (text,) = caught.value.errors
    title, *problems = text.split("\n  - ")
    assert title == "Settings refused:"
    return problems


def accept(storage, **others):
    tap = TapMixpanelExport(
        config={**GOOD, "batch_config": {"encoding": JSONL, "storage": storage, **others}}
    )
    assert tap.streams["events"].get_batch_config(tap.config)


ROOT = (
    "batch_config.storage.root is missing: where the files go, such as file:///data/events or "
    "s3://bucket/events"
)
FORMAT = "batch_config.encoding.format is missing: jsonl or parquet"


@pytest.mark.parametrize(
    ("batch_config", "problems"),
    [
        ({"encoding": JSONL}, [ROOT]),
        ({"encoding": JSONL, "storage": {"prefix": "x"}}, [ROOT]),
        ({"encoding": JSONL, "storage": {"root": ""}}, [ROOT]),
        ({"storage": {"root": "/tmp"}}, [FORMAT]),
        ({"encoding": {"compression": "gzip"}, "storage": {"root": "/tmp"}}, [FORMAT]),
        ({"batch_size": 10}, [FORMAT, ROOT]),
        (
            {"encoding": {"format": "csv"}, "storage": {"root": "/tmp"}},
            ["batch_config.encoding.format is none of jsonl, parquet"],
        ),
        (
            {"encoding": {**JSONL, "compression": "zip"}, "storage": {"root": "/tmp"}},
            ["batch_config.encoding.compression is none of gzip, none"],
        ),
        ({"encoding": "jsonl"}, ["batch_config.encoding is not of type object"]),
        ("nonsense", ["batch_config is not of type object"]),
        (
            {"encoding": JSONL, "storage": {"root": "/tmp"}, "size": 3},
            ["batch_config.size is unknown; there are encoding, storage, batch_size"],
        ),
        (
            {"encoding": {**JSONL, "level": 3}, "storage": {"root": "/tmp", "folder": "x"}},
            [
                "batch_config.encoding.level is unknown; there are format, compression",
                "batch_config.storage.folder is unknown; there are root, prefix, params",
            ],
        ),
        *(
            (
                {"encoding": JSONL, "storage": {"root": "/tmp"}, "batch_size": size},
                ["batch_config.batch_size is not an integer from 1"],
            )
            for size in (0, -1, "many", 1.5, True)
        ),
        *(
            (
                {"encoding": JSONL, "storage": {"root": "/tmp", "prefix": prefix}},
                ["batch_config.storage.prefix leads out of storage.root"],
            )
            for prefix in ("../x", "/etc/x", "a/../../x", "a/..", "x\x00")
        ),
        (
            {"encoding": JSONL, "storage": {"root": "/tmp", "prefix": "date={date}/"}},
            ["batch_config.storage.prefix: {date} stands for the day of the events in Parquet"],
        ),
        (
            {"encoding": JSONL, "storage": {"root": "nonsense://x"}},
            ["batch_config.storage.root"],
        ),
        (
            {"encoding": JSONL, "storage": {"root": "/dev/null/x"}},
            ["batch_config.storage.root: no file can be written to /dev/null/x (Not a directory)"],
        ),
        (
            {"encoding": JSONL, "storage": {"root": "/tmp", "params": "x"}},
            ["batch_config.storage.params is not of type object"],
        ),
    ],
    ids=str,
)
def test_each_problem_is_told_by_the_name_of_its_member(batch_config, problems):
    told = problems_of(batch_config)
    assert len(told) == len(problems)
    for text, start_of_it in zip(told, problems, strict=True):
        assert text.startswith(start_of_it)


def test_all_problems_come_at_once():
    storage = {"root": "/tmp", "prefix": "../x"}
    told = problems_of({"encoding": {"format": "jsonl"}, "storage": storage}, lookback_days=-1)
    assert sorted(text.split()[0] for text in told) == [
        "batch_config.storage.prefix",
        "lookback_days",
    ]


@pytest.mark.parametrize(
    ("root", "module", "extra"),
    [("s3://bucket/events", "s3fs", "s3"), ("/tmp", "pyarrow", "parquet")],
)
def test_a_missing_package_is_named_by_its_extra(monkeypatch, root, module, extra):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "tap_mixpanel_export.config.batch.find_spec",
        lambda asked: None if asked == module else find(asked),
    )
    kind = "parquet" if extra == "parquet" else "jsonl"
    (told,) = problems_of({"encoding": {"format": kind}, "storage": {"root": root}})
    assert f"pip install tap-mixpanel-export[{extra}]" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "storage",
    [
        {"root": "/tmp"},
        {"root": "file:///tmp"},
        {"root": "not/there/yet", "prefix": "nor/this/x-"},
        {"root": "s3://bucket/events", "params": {"key": "k", "secret": "s"}},
        {"root": "memory://events"},
    ],
    ids=lambda storage: storage["root"],
)
def test_what_can_work_is_taken(tmp_path, monkeypatch, storage):
    monkeypatch.chdir(tmp_path)
    accept(storage)
    accept(storage, batch_size=5)


def test_nothing_is_made_while_settings_are_checked(tmp_path):
    accept({"root": str(tmp_path / "new" / "root")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_nonsense_in_the_environment_is_refused_in_a_sentence(tmp_path):
    settings = {f"TAP_MIXPANEL_EXPORT_{n.upper()}": str(value) for n, value in GOOD.items()}
    environment = {**os.environ, **settings, "TAP_MIXPANEL_EXPORT_BATCH_CONFIG": "nonsense"}
    line = command("tap-mixpanel-export", "--config", "ENV")
    with start(line, tmp_path, env=environment, cwd=tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert b"  - batch_config is not of type object\n" in err
    assert b"Traceback" not in err
