"""Starts a program of keyturn that the test can turn for the worse: `python -m tests.fleet.chaos.launch …`.

`serve …` is `keyturn serve …`, `verify FILE` is `verifying.py`.  The environment names two files:

    CHAOS_WITHOUT   what is taken away from this process (`guards.py`), followed while it runs
    CHAOS_WALL      by how many microseconds the wall clock of this process is off
"""

import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from keyturn import cli
from keyturn.outside import clock as server_clock
from keyturn.sdk import attachment
from keyturn.sdk import clock as sdk_clock
from tests.fleet.chaos import guards, verifying

WITHOUT: Final = "CHAOS_WITHOUT"
WALL: Final = "CHAOS_WALL"
_LOOK_SECONDS: Final = 0.01


def main() -> None:
    """Prepare this process, and be the program."""
    faulthandler.register(signal.SIGUSR1)  # where it stands, for whoever wonders
    _step_wall_clock(Path(os.environ[WALL]))
    threading.Thread(target=_follow, args=(Path(os.environ[WITHOUT]),), daemon=True).start()
    if sys.argv[1] == "verify":
        verifying.main(sys.argv[2])
    else:
        cli.main()


def _step_wall_clock(file: Path) -> None:
    real = sdk_clock.wall_micros

    def stepped() -> int:
        return real() + int(file.read_text())

    server_clock.wall_micros = stepped
    sdk_clock.wall_micros = stepped
    attachment.wall_micros = stepped  # type: ignore[attr-defined]  # it is imported there by name


def _follow(file: Path) -> None:
    """Take away what the file names, give back what it no longer names, and say when that is done."""
    done, looking = "", threading.Event()
    while not looking.wait(_LOOK_SECONDS):
        text = file.read_text()
        if text != done:
            guards.run_without(text.split())
            done = text
            obeyed(file).write_text(text)


def obeyed(file: Path) -> Path:
    """Where a process says which of its orders it has followed last."""
    return file.with_suffix(".obeyed")


if __name__ == "__main__":
    main()
