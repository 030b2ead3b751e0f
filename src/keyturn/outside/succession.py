"""What one server process leaves to the next about a SQLite file: whether that is as it was left (F9, F10).

Who was granted a lease in a time that a backup has undone, nothing in the backup tells.  But to the file system it is
another file: it has another inode, or its inode was changed later, and no tool that copies can keep that.  So a server
notes beside the database for how long its leases last, and in the end how it left the file.  Whether the note itself
was put back is seen in the same way, by the lock beside it, which nobody writes to.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyturn.core.lease import LONGEST_FENCE
from keyturn.outside.folder import lock_of, replace_secret

_OF_LOCK: Final = 2


class Succession:
    """Used only by whoever is alone with the file.  Durations are microseconds."""

    def __init__(self, database: Path) -> None:
        self._database = database.resolve()
        self._note = self._database.with_name(f"{self._database.name}.served")
        self._lasts = 0

    def unknown(self) -> int:
        """For how long leases may last that the file does not know of, seen before anybody has opened it.

        0 where it is as the last server left it, or new.
        """
        if not self._database.exists() or not self._database.stat().st_size:
            return 0
        lasts, lock, left = self._noted()
        if left and left == _looks(self._database):
            return 0
        return lasts if lock == _looks(lock_of(self._database)) else LONGEST_FENCE

    def begin(self, lasts: int) -> None:
        """Leases last for so long at the most from now on.  Raises OSError."""
        self._lasts = lasts
        self._write()

    def lengthened(self, lasts: int) -> None:
        """They are going to last for so long.  Raises OSError."""
        if lasts > self._lasts:
            self.begin(lasts)

    def end(self) -> None:
        """Nothing is written to the file any more, and whoever holds a lease is on record in it.  Raises OSError."""
        if not self._database.with_name(f"{self._database.name}-wal").exists():
            self._write(*_looks(self._database))

    def _noted(self) -> tuple[int, list[str], list[str]]:
        """For how long leases last, how the lock looked and how the file was left; nothing where there is no note."""
        with suppress(OSError, ValueError):
            lasts, *looks = self._note.read_text("ascii").split()
            return int(lasts), looks[:_OF_LOCK], looks[_OF_LOCK:]
        return 0, [], []

    def _write(self, *left: str) -> None:
        replace_secret(self._note, " ".join((str(self._lasts), *_looks(lock_of(self._database)), *left)))
        folder = os.open(self._note.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot, as SQLite takes it
                raise
        finally:
            os.close(folder)


def _looks(file: Path) -> list[str]:
    """How the file system knows it: a copy differs, and so does what somebody has written to.

    Not by its device, whose number may be another one after a mount.
    """
    found = file.stat()
    return [str(found.st_ino), str(found.st_ctime_ns)]
