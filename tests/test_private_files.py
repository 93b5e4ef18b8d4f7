from __future__ import annotations

import errno
import os
import resource
import stat
import tempfile

import pytest

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.private_files import (
    ensure_private,
    make_private_folder,
    open_private,
    open_temporary,
    write_private,
)


def write_opened(path, content):
    with open_private(path) as file:
        file.write(content)


WRITERS = pytest.mark.parametrize("write", [write_opened, write_private])
MAKERS = pytest.mark.parametrize(
    "make",
    [write_opened, write_private, lambda path, _content: ensure_private(path)],
    ids=["opened", "written", "ensured"],
)


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("any_umask")
@MAKERS
def test_a_file_is_for_its_owner_only(tmp_path, make):
    make(tmp_path / "new", b"x")
    assert mode(tmp_path / "new") == 0o600


@pytest.mark.usefixtures("any_umask")
def test_folders_are_for_their_owner_only_as_far_as_they_are_made_here(tmp_path):
    (tmp_path / "old").mkdir(0o755)
    before = mode(tmp_path / "old")
    make_private_folder(tmp_path / "old/one/two")
    make_private_folder(tmp_path / "old/one/two")
    assert mode(tmp_path / "old") == before
    assert mode(tmp_path / "old/one") == mode(tmp_path / "old/one/two") == 0o700


def test_a_folder_may_be_named_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make_private_folder(tmp_path / "link/inner")
    assert (tmp_path / "real/inner").is_dir()


@pytest.mark.parametrize("name", ["file", "file/inner", "dangling"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nothing")
    with pytest.raises(OSError, match=r"folder|directory"):
        make_private_folder(tmp_path / name)
    assert not (tmp_path / "nothing").exists()


@WRITERS
def test_an_older_file_that_others_can_read_is_replaced(tmp_path, write):
    path, other_name = tmp_path / "file", tmp_path / "second name"
    path.write_bytes(b"older and longer")
    path.chmod(0o666)
    os.link(path, other_name)
    with path.open("rb") as reader:
        write(path, b"new")
        assert reader.read() == b"older and longer"
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert other_name.read_bytes() == b"older and longer"


def test_an_older_file_that_is_to_go_on_keeps_content_and_mode(tmp_path):
    path = tmp_path / "shared"
    path.write_bytes(b"kept")
    path.chmod(0o660)
    ensure_private(path)
    assert path.read_bytes() == b"kept"
    assert mode(path) == 0o660


@MAKERS
@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_symbolic_link_is_not_followed(tmp_path, make, target):
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"untouched")
    link.symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="symbolic link") as caught:
        make(link, b"x")
    assert caught.value.strerror == "it is a symbolic link, which is not followed"
    assert victim.read_bytes() == b"untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "victim"]


@MAKERS
def test_a_pipe_in_its_place_neither_hangs_nor_gets_anything(tmp_path, make):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        make(tmp_path / "pipe", b"x")


@MAKERS
def test_a_link_that_appears_in_between_is_not_followed_either(tmp_path, make, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    create = os.open

    def create_late(path, *arguments):
        path.symlink_to(victim)
        return create(path, *arguments)

    monkeypatch.setattr(os, "open", create_late)
    with pytest.raises(OSError, match=r"exists|symbolic link"):
        make(tmp_path / "file", b"x")
    assert victim.read_bytes() == b"untouched"


def test_a_file_that_cannot_be_completed_leaves_the_older_one(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "fdopen", lambda fd, _mode: open(fd, "rb"))  # noqa: PTH123, SIM115
    with pytest.raises(OSError, match="write"):
        write_private(path, b"new")
    assert path.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_temporary_file_has_no_name_and_keeps_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_temporary() as file:
        file.write(b"x" * 100_000)
        file.write(b"y")
        file.seek(99_999)
        assert file.read() == b"xy"
        assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_that_finds_no_room_names_the_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_temporary() as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            with pytest.raises(OutputError) as caught:
                # More than what gathers before it is written.
                file.write(b"x" * 2_000_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value).startswith(f"TMPDIR ({tmp_path}): File too large. Downloads lie there")


def test_without_any_folder_for_temporary_files_they_are_named(monkeypatch):
    def find():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']")

    monkeypatch.setattr(tempfile, "gettempdir", find)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", find)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(OutputError, match=r"TMPDIR: No usable temporary directory found in"):
        open_temporary()
