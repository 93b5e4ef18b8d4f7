"""A quota shared by a file outlives its processes, and is never exceeded by them together."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from fake_time import HOUR, SECOND, START, FakeTime, assert_never_more_than, limiter_on, send_times
from processes import start

from tap_mixpanel_export.api.quota_file import QuotaFile, QuotaFileBusyError, QuotaFileError
from tap_mixpanel_export.api.rate_limit import QueryLimiter
from tap_mixpanel_export.stopping import StoppedError


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture
def quota_file(tmp_path):
    return tmp_path / "quota.db"


def test_later_run_sees_the_queries_and_the_pause_of_the_one_before(time, quota_file):
    with closing(limiter_on(time, quota_file=quota_file)) as first:
        send_times(first, time, [1.3] * 60)
    time.true = START + 600
    with closing(limiter_on(time, quota_file=quota_file)) as second:
        assert second.seconds_until_free() == pytest.approx(HOUR - 600 + 1.3)
        time.true = START + 4000
        assert second.seconds_until_free() == 0
        second.penalize(77)
    with closing(limiter_on(time, quota_file=quota_file)) as third:
        assert third.seconds_until_free() == pytest.approx(77)


def test_two_limiters_of_one_file_share_limits_and_pauses(time, quota_file):
    with (
        closing(limiter_on(time, quota_file=quota_file)) as one,
        closing(limiter_on(time, quota_file=quota_file)) as other,
    ):
        sent = []
        for limiter in [one, other, one] * 10:
            limiter.acquire()
            sent.append(time.true)
        assert_never_more_than(3, SECOND, sent)
        one.penalize(42)
        assert other.seconds_until_free() == pytest.approx(42)


def test_projects_in_one_file_have_quotas_of_their_own(time, quota_file):
    with (
        closing(limiter_on(time, quota_file=quota_file, project="1", max_per_hour=1)) as one,
        closing(limiter_on(time, quota_file=quota_file, project="2", max_per_hour=1)) as other,
    ):
        one.acquire()
        one.penalize(9)
        assert other.seconds_until_free() == 0
        other.acquire()
        assert time.waits == []
        assert one.seconds_until_free() == pytest.approx(HOUR)


def test_file_does_not_grow(time, quota_file):
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        send_times(limiter, time, [100.0] * 200)
    with closing(sqlite3.connect(quota_file)) as database:
        assert database.execute("SELECT count(*) FROM query").fetchone() == (37,)


# The clock is read last where a query is counted, so its last reading is what the quota counts.
RUN = """
import json, sys, time
from pathlib import Path
from tap_mixpanel_export.api.rate_limit import QueryLimiter

seen = []
def clock():
    seen.append(time.time())
    return seen[-1]

class Scaled(QueryLimiter):
    PER_SECOND = 5
    SECOND_SECONDS = 0.05
    HOUR_SECONDS = 0.5

limiter = Scaled(max_per_hour=12, quota_file=Path(sys.argv[1]), clock=clock)
sent = []
for _ in range(15):
    limiter.acquire()
    sent.append(seen[-1])
limiter.close()
print(json.dumps(sent))
"""


@pytest.mark.slow
def test_two_processes_stay_within_the_quota_together(quota_file):
    runs = [
        start([sys.executable, "-c", RUN, str(quota_file)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    sent = []
    for run in runs:
        output, _ = run.communicate()
        assert run.returncode == 0
        sent += json.loads(output)
    assert len(sent) == 30
    assert_never_more_than(5, 0.3, sent)
    assert_never_more_than(12, 0.75, sent)


HOLD = """
import sys
from pathlib import Path
from tap_mixpanel_export.api.quota_file import QuotaFile

quota_file = QuotaFile(Path(sys.argv[1]), "")
# No room in memory: the change goes to the file at once, as it does in the middle of a commit.
quota_file._database.execute("PRAGMA cache_size = 1")
with quota_file.exclusive() as ledger:
    ledger.sent = [float(n) for n in range(5000)]
    quota_file._save(ledger)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(quota_file):
    process = start(
        [sys.executable, "-c", HOLD, str(quota_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_killed_holder_blocks_nobody_and_leaves_no_half_change(time, quota_file, request):
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        limiter.acquire()
        size = quota_file.stat().st_size
        holder = request.getfixturevalue("holder")
        assert quota_file.stat().st_size > size, "the change is half written"

        stop = threading.Event()
        stop.set()
        with pytest.raises(StoppedError):
            limiter.acquire(stop)

        waiting = threading.Thread(target=limiter.acquire, daemon=True)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        holder.send_signal(signal.SIGKILL)
        waiting.join(60)
        assert not waiting.is_alive()
        with limiter._file.exclusive() as ledger:
            assert ledger.sent == [START, START]


def test_thread_that_waits_for_the_file_can_be_stopped(time, quota_file, request):
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        request.getfixturevalue("holder")
        stop = threading.Event()
        stopped = []

        def work():
            with pytest.raises(StoppedError, match="quota file"):
                limiter.acquire(stop)
            stopped.append(1)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(0.2)
        assert not stopped
        stop.set()
        thread.join(60)
        assert stopped


@pytest.mark.usefixtures("holder")
def test_file_held_for_too_long_is_an_error(time, quota_file, monkeypatch):
    monkeypatch.setattr("tap_mixpanel_export.api.rate_limit._FILE_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(QuotaFileBusyError, match="locked by another process"):
        limiter_on(time, quota_file=quota_file)


def test_error_inside_the_lock_changes_nothing(quota_file):
    with closing(QuotaFile(quota_file, "")) as file:

        def fail():
            with file.exclusive() as ledger:
                ledger.sent.append(1.0)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with file.exclusive() as ledger:
            assert ledger.sent == []


def bad_directory(folder):
    return folder / "missing" / "quota.db"


def bad_folder(folder):
    return folder


def bad_text(folder):
    path = folder / "state.json"
    path.write_text('{"bookmarks": {}}' * 100)
    return path


def bad_torn(folder):
    path = folder / "quota.db"
    QueryLimiter(quota_file=path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    return path


def bad_owner(folder):
    path = folder / "meltano.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (id)")
    return path


def no_tables(folder):
    path = folder / "quota.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 1836609908")
        database.execute("CREATE TABLE query (project, sent)")
        database.commit()
    return path


def bad_link(folder):
    (folder / "elsewhere").write_text("")
    (folder / "quota.db").symlink_to(folder / "elsewhere")
    return folder / "quota.db"


def bad_parent(folder):
    (folder / "file").touch()
    return folder / "file" / "quota.db"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (bad_directory, "directory of .* does not exist"),
        (bad_parent, "directory of .* does not exist"),
        (bad_folder, "is a directory"),
        (bad_link, "is a symbolic link"),
        (bad_owner, "another program"),
    ],
)
def test_unusable_file_is_refused_at_once_and_left_alone(tmp_path, bad, says):
    path = bad(tmp_path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(QuotaFileError, match=says) as error:
        QueryLimiter(quota_file=path)
    assert str(error.value).startswith("quota_file: ")
    assert str(path) in str(error.value)
    assert (path.read_bytes() if path.is_file() else None) == content


@pytest.mark.parametrize("bad", [bad_text, bad_torn, no_tables])
def test_a_file_that_is_no_quota_is_set_aside_and_begun_anew(time, tmp_path, bad, caplog):
    path = bad(tmp_path)
    content = path.read_bytes()
    with closing(limiter_on(time, quota_file=path, max_per_hour=1)) as limiter:
        limiter.acquire()
        [kept] = [p for p in tmp_path.iterdir() if ".damaged-" in p.name]
        assert kept.read_bytes() == content
        [line] = [r.getMessage() for r in caplog.records]
        assert line.startswith(f"quota_file: {path} is no quota file")
        assert str(kept) in line
        # The new one is as good as any.
        with closing(limiter_on(time, quota_file=path, max_per_hour=1)) as other:
            assert other.seconds_until_free() == pytest.approx(HOUR)
    assert len(caplog.records) == 1


def test_a_file_that_is_damaged_under_two_runs_is_set_aside_once(time, quota_file, caplog):
    with (
        closing(limiter_on(time, quota_file=quota_file)) as one,
        closing(limiter_on(time, quota_file=quota_file)) as other,
    ):
        quota_file.write_bytes(b"x" * 10_000)
        one.acquire()
        other.acquire()
        assert len(caplog.records) == 1
        with other._file.exclusive() as ledger:
            assert ledger.sent == [START, START]


def test_a_journal_of_a_damaged_file_is_not_played_into_the_new_one(time, quota_file):
    quota_file.write_bytes(b"x" * 10_000)
    journal = quota_file.with_name("quota.db-journal")
    journal.write_bytes(b"y" * 1000)
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        limiter.acquire()
    assert not journal.exists()


def test_the_file_is_its_owners_only(time, quota_file):
    limiter_on(time, quota_file=quota_file).close()
    assert quota_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ahead", [3700.0, 31_536_000.0, 1e300, float("inf")])
def test_entries_from_the_future_stop_nobody(time, quota_file, ahead):
    limiter_on(time, quota_file=quota_file).close()
    with closing(sqlite3.connect(quota_file)) as database:
        for _ in range(100):
            database.execute("INSERT INTO query VALUES ('', ?)", (START + ahead,))
        database.execute("INSERT INTO pause VALUES ('', ?, ?)", (START - 10, START + ahead))
        database.commit()
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        assert limiter.seconds_until_free() == 0
        limiter.acquire()
    assert time.waits == []
    with closing(sqlite3.connect(quota_file)) as database:
        assert database.execute("SELECT sent_at FROM query").fetchall() == [(START,)]


def test_entries_of_a_clock_that_is_ahead_by_less_count_as_just_now(time, quota_file):
    with closing(limiter_on(time, quota_file=quota_file, max_per_hour=2)) as limiter:
        time.offset = 600
        limiter.acquire()
        limiter.acquire()
        time.offset = 0
        assert limiter.seconds_until_free() == pytest.approx(HOUR)


def test_entries_that_are_no_times_are_left_out(time, quota_file):
    limiter_on(time, quota_file=quota_file).close()
    with closing(sqlite3.connect(quota_file)) as database:
        database.execute("INSERT INTO query VALUES ('', 'soon'), ('', x'00')")
        database.execute("INSERT INTO pause VALUES ('', 'now', 'later')")
        database.commit()
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        limiter.acquire()
    assert time.waits == []


def test_empty_file_is_taken(time, quota_file):
    quota_file.touch()
    with closing(limiter_on(time, quota_file=quota_file)) as limiter:
        limiter.acquire()


def test_names_that_are_special_to_sqlite_are_files(time, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    limiter_on(time, quota_file=Path(":memory:")).close()
    assert (tmp_path / ":memory:").is_file()


def test_use_after_close_is_an_error_of_ours(time, quota_file):
    limiter = limiter_on(time, quota_file=quota_file)
    limiter.close()
    with pytest.raises(QuotaFileError):
        limiter.acquire()
