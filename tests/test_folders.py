"""A folder of prepared data is whole or not there."""

import os
import time
from pathlib import Path

import pytest

from scaling.data.folders import ABANDONED_AFTER, FolderError, local, made_whole


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    with made_whole(tmp_path / "a" / "b") as partial:
        (partial / "file").write_text("text")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "file").read_text() == "text"
    assert os.listdir(tmp_path / "a") == ["b"]


def test_a_failed_folder_is_removed_and_its_error_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), made_whole(tmp_path / "a"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_the_first_of_two_makers_wins(tmp_path):
    with made_whole(tmp_path / "a") as late:
        (late / "file").write_text("late")
        with made_whole(tmp_path / "a") as early:
            (early / "file").write_text("early")
    assert (tmp_path / "a" / "file").read_text() == "early"
    assert os.listdir(tmp_path) == ["a"]


def test_remains_of_the_killed_are_removed_after_a_day_and_not_before(tmp_path):
    old, new = tmp_path / ".x.1.partial", tmp_path / ".x.2.partial"
    old.mkdir()
    new.mkdir()
    then = time.time() - ABANDONED_AFTER - 60
    os.utime(old, (then, then))
    with made_whole(tmp_path / "a"):
        pass
    assert not old.exists()
    assert new.exists()


def test_an_address_is_refused_as_a_data_folder():
    with pytest.raises(FolderError, match=r"'gs://bucket/data' is an address.*use a local folder"):
        local("gs://bucket/data")


def test_a_local_folder_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert local("data") == local(Path("data")) == tmp_path / "data"
    assert local("~") == Path.home()


def test_a_file_where_the_folder_should_be_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with (
        pytest.raises(
            FolderError, match=r"cannot write .*data/a \(.*\): free some space, mend the permissions"
        ),
        made_whole(tmp_path / "data" / "a"),
    ):
        pass
