"""A forked program is a program of its own: its words, environment, folder, output, signals and end."""

import gc
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import forked
from tests.attached import until
from tests.forked import Forked

PROGRAM = """
import os, signal, sys, threading
print(__name__, sys.argv[1:], dict(os.environ), os.getcwd(), sorted(os.listdir("/proc/self/fd")), flush=True)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
match sys.argv[1]:
    case "leave":
        sys.exit(7)
    case "fail":
        raise ValueError("on purpose")
    case "wait":
        threading.Event().wait()
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Run":
    (tmp_path / "forked_program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path)


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    def __call__(self, *words: str) -> Forked:
        environment = {"PYTHONPATH": "nothing", "COLOUR": "blue"}
        with self.log.open("ab") as out:
            return forked.start("forked_program", words, environment=environment, out=out.fileno())

    @property
    def said(self) -> str:
        return self.log.read_text()


def test_what_it_is_given_and_nothing_else(run: Run) -> None:
    assert run("leave", "now").wait(20) == 7
    own = {"PYTHONPATH": "nothing", "COLOUR": "blue"}
    # The files are the three of every program, and the folder that is being looked into.
    assert run.said == f"__main__ ['leave', 'now'] {own} {run.folder} ['0', '1', '2', '3']\nTrue\n"


def test_an_exception_is_told_and_ends_it(run: Run) -> None:
    assert run("fail").wait(20) == 1
    assert "ValueError: on purpose" in run.said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_stopped_by_signals(run: Run, number: signal.Signals) -> None:
    process = run("wait")
    assert until(lambda: "True" in run.said)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.send_signal(number)
    assert process.wait(20) == process.poll() == -number
    process.kill()  # long gone, and nobody else is hit


def test_several_are_told_apart(run: Run) -> None:
    waits = [run("wait") for _ in range(3)]
    for one in reversed(waits):
        assert one.poll() is None
        one.kill()
        assert one.wait(20) == -signal.SIGKILL


def test_whoever_waits_is_told(run: Run) -> None:
    process = run("wait")
    with ThreadPoolExecutor(4) as threads:
        told = [threads.submit(process.wait, 20) for _ in range(4)]
        process.kill()
        assert [one.result() for one in told] == [-signal.SIGKILL] * 4


def test_one_that_nobody_waits_for_is_let_go_of_without_a_word(run: Run) -> None:
    """Warnings are errors here, in whichever test they come up."""
    process = run("wait")
    process.itself = process  # type: ignore[attr-defined]  # a cycle, which is collected in any order
    told = process._told
    process.send_signal(signal.SIGKILL)
    del process
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(told)
