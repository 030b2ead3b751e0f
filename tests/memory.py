"""Where the files of tests lie: in memory where the system has room there, for tests are about programs, not disks.

Nothing else changes: databases sync their files as ever, and whoever counts or fails those calls finds them.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # folders of their own are made inside
_ROOM: Final = 4 << 30
"""What every process of a run needs at the most: a container's /dev/shm may be far smaller."""


def place() -> Path:
    """The folder to make folders in."""
    return _MEMORY if _has_room() else Path(tempfile.gettempdir())


def _has_room() -> bool:
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return False
    may_run = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC  # some tests write a program and run it
    return may_run and shutil.disk_usage(_MEMORY).free >= _ROOM
