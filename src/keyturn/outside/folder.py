"""The data folder and the SQLite file: who may read them, and that one server at a time uses them (F13)."""

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

_FAR: Final = 1 << 62
"""A byte of a SQLite file that SQLite never locks."""
_OFD_LOCK: Final = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None
_NO_SUCH_LOCK: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})


class FolderInUse(Exception):  # noqa: N818  # the world is in the way; not an error of ours
    """Another server holds the folder, or the SQLite file."""


class ServerLock:
    """Held for as long as this process serves; the operating system lets go of it when the process ends."""

    def __init__(self, file: Path, *, of: Path) -> None:
        """`file` is what is locked, `of` what people are told is in use."""
        self._file = file
        self._of = of
        self._descriptor = -1

    def acquire(self) -> Self:
        """Take the lock.  Raises FolderInUse, or OSError."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise FolderInUse(f"another keyturn server is using {self._of}") from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def _lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FileLock(ServerLock):
    """The same on the SQLite file itself, under whichever name: a hard link, or a mount of the single file.

    On a byte that SQLite does not use.  Taken before SQLite opens the file, and let go of after that has closed it,
    for to close any descriptor of a file ends the locks that the process has on it.
    """

    def _lock(self, descriptor: int) -> None:
        if _OFD_LOCK is None:
            return
        # As `struct flock` has it: to write, from the file's beginning, one byte, and of no process.
        wish = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _FAR, 1, 0)
        try:
            fcntl.fcntl(descriptor, _OFD_LOCK, wish)
        except OSError as error:
            if error.errno not in _NO_SUCH_LOCK:  # some kernels have none; the locks by name hold there as well
                raise


@contextmanager
def alone(folder: Path, database: Path | None) -> Iterator[None]:
    """This process alone works with the data folder, and with the SQLite file where there is one, wherever it lies.

    Raises FolderInUse, or OSError.
    """
    make(folder)
    locks = [ServerLock(folder / "server.lock", of=folder)]
    if database is not None:
        file = database.resolve()  # one file under two names is one file
        if file.parent.is_dir():  # else SQLite says what is wrong
            locks += [ServerLock(lock_of(file), of=database), FileLock(file, of=database)]
    with ExitStack() as held:
        for lock in locks:
            held.callback(lock.acquire().release)
        yield


def lock_of(database: Path) -> Path:
    """What is locked by whoever works with the SQLite file of that name."""
    return database.with_name(f"{database.name}.lock")


def make(folder: Path) -> None:
    """Make the data folder, closed to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_secret(file: Path, text: str) -> None:
    """Write a new file that only its owner can read.  Raises FileExistsError rather than overwrite."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())


def replace_secret(file: Path, text: str) -> None:
    """Write a file that only its owner can read, in place of an older one: whole, or not at all."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    write_secret(fresh, text)
    fresh.replace(file)
