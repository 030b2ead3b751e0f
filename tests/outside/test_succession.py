"""What a server leaves to the next about a SQLite file, and by what a backup is told from it (F9, F10)."""

import shutil
from pathlib import Path

import pytest

from keyturn.core.lease import LONGEST_FENCE
from keyturn.outside.folder import alone, lock_of
from keyturn.outside.succession import Succession
from tests.attached import until

LASTS = 5_100_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file of a server that has begun; its lock is there."""
    file = tmp_path / "data" / "keyturn.db"
    file.parent.mkdir()
    file.write_bytes(b"rows")
    with alone(file.parent, file):
        Succession(file).begin(LASTS)
    return file


def left(database: Path) -> None:
    """In good order, and the clock of the file system has moved since: what is written now is written later."""
    one = Succession(database)
    one.begin(LASTS)
    one.end()
    probe = database.with_name("probe")

    def has_moved() -> bool:
        probe.write_text("x")
        return probe.stat().st_ctime_ns > database.stat().st_ctime_ns

    until(has_moved)


def test_f9_a_new_file_knows_of_everybody(tmp_path: Path) -> None:
    file = tmp_path / "keyturn.db"
    lock_of(file).touch()
    assert Succession(file).unknown() == 0
    file.touch()
    assert Succession(file).unknown() == 0
    file.write_bytes(b"rows")
    assert Succession(file).unknown() == LONGEST_FENCE, "from before there were notes, or without its own"


def test_f10_as_the_last_server_left_it_it_knows_of_everybody(database: Path) -> None:
    left(database)
    assert Succession(database).unknown() == 0


def test_f10_after_a_crash_it_may_have_been_put_back(database: Path) -> None:
    assert Succession(database).unknown() == LASTS


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("preserving", [True, False])
def test_f9_a_backup_in_place_of_the_file_is_another_file(database: Path, *, in_place: bool, preserving: bool) -> None:
    left(database)
    copy, kept = (shutil.copy2 if preserving else shutil.copy), database.with_name("backup")
    copy(database, kept)
    if not in_place:
        database.unlink()
    copy(kept, database)
    assert Succession(database).unknown() == LASTS


@pytest.mark.parametrize("in_good_order", [True, False])
def test_f9_a_whole_folder_that_was_put_back_says_nothing_of_the_lost_time(
    database: Path, tmp_path: Path, *, in_good_order: bool
) -> None:
    if in_good_order:
        left(database)
    shutil.copytree(database.parent, tmp_path / "backup")
    shutil.rmtree(database.parent)
    shutil.copytree(tmp_path / "backup", database.parent)
    assert Succession(database).unknown() == LONGEST_FENCE, "leases may have been longer since"


def test_f9_whoever_writes_to_the_file_is_noticed(database: Path) -> None:
    left(database)
    with database.open("r+b") as file:
        file.write(b"ROWS")
    assert Succession(database).unknown() == LASTS


def test_f10_what_is_not_yet_in_the_file_itself_was_not_left_in_good_order(database: Path) -> None:
    wal = database.with_name("keyturn.db-wal")
    wal.touch()
    left(database)
    wal.unlink()
    assert Succession(database).unknown() == LASTS


def test_f9_longer_leases_are_noted_before_they_are_given(database: Path) -> None:
    one = Succession(database)
    one.begin(LASTS)
    for lasts in (2 * LASTS, LASTS):
        one.lengthened(lasts)
        assert Succession(database).unknown() == 2 * LASTS, "those that were given before last as long as they did"


@pytest.mark.parametrize("note", ["", "x", "5100000", "-1 2 3", "é"])
def test_f9_a_note_that_cannot_be_read_is_none(database: Path, note: str) -> None:
    database.with_name("keyturn.db.served").write_text(note)
    assert Succession(database).unknown() == LONGEST_FENCE


def test_f13_nobody_else_reads_or_writes_the_note(database: Path) -> None:
    assert database.with_name("keyturn.db.served").stat().st_mode & 0o777 == 0o600
    assert lock_of(database).exists()


def test_the_file_by_another_name_is_the_same(database: Path, tmp_path: Path) -> None:
    left(database)
    (tmp_path / "other").symlink_to(database)
    assert Succession(tmp_path / "other").unknown() == 0
