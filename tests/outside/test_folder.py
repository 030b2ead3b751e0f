"""The locks of a data folder where the kernel has not all of them."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from keyturn.outside.folder import FolderInUse, alone


def no_such_lock(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_f13_a_kernel_without_locks_of_open_files_has_those_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "fcntl", lambda *_: no_such_lock(number))
    database = tmp_path / "one" / "keyturn.db"
    with alone(database.parent, database), pytest.raises(FolderInUse), alone(tmp_path / "two", database):
        pytest.fail("two servers on one file")


def test_what_else_stands_in_the_way_of_a_lock_is_said_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, opened = tmp_path / "one" / "keyturn.db", []

    def refuse(descriptor: int, *_: object) -> NoReturn:
        opened.append(descriptor)
        no_such_lock(errno.EIO)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), alone(database.parent, database):
        pytest.fail("without its lock")
    (descriptor,) = opened
    with suppress(OSError):  # that number may be another file's by now
        assert not Path(f"/proc/self/fd/{descriptor}").samefile(database)
