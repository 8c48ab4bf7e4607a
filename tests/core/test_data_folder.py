from __future__ import annotations

import os
import stat

import pytest

from caseapp.core import data_folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_new_data_folder_is_its_owners_alone(tmp_path, umask):
    data_folder.secure(tmp_path / "var/data")
    assert mode(tmp_path / "var/data") == 0o700


def test_folder_and_files_of_an_earlier_release_are_closed_to_others(tmp_path, umask):
    folder = tmp_path / "data"
    (folder / "mail").mkdir(parents=True)
    for name in ("caseapp.db", "queue.db"):
        (folder / name).touch()
    (folder / "link").symlink_to(tmp_path)
    before = mode(tmp_path)
    assert mode(folder / "queue.db") == 0o644
    data_folder.secure(folder)
    assert mode(folder) == 0o700
    assert mode(folder / "caseapp.db") == mode(folder / "queue.db") == 0o600
    assert mode(tmp_path) == before


def test_new_files_are_their_owners_alone(tmp_path, umask):
    data_folder.restrict_new_files()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert (mode(tmp_path / "folder"), mode(tmp_path / "file")) == (0o700, 0o600)
