"""A verifier in children, whoever has forked them: Python, or C code that does not tell it, as in uWSGI (F0, F10)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.sdk.verifying import LONG, reset
from tests.serving import Serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
HEAD: Final = """
import ctypes, mmap, os, sys, threading
from keyturn.sdk import LeaseLapsed, Verifier, attachment, process
url, credential, secret, fork, known_by, on_lapse = sys.argv[1:]
fork = os.fork if fork == "python" else ctypes.PyDLL(None).fork
if known_by == "number":
    process._page = lambda: None
elif known_by == "word":
    process._WIPE_ON_FORK = mmap.MADV_NORMAL  # a kernel that says so and does nothing
attachment.ASK_SECONDS = 600  # whoever waits for a thread that is not there does not end in time
verifier = Verifier(url, credential, on_lapse=on_lapse)
assert verifier.wait_until_leased(60) and verifier.verify(secret)

def threads():
    return len(os.listdir("/proc/self/task"))

def lapsed(ask):
    try:
        ask(secret)
    except LeaseLapsed:
        return True

def ends_well(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def leave():
    verifier.close()  # or the resets of other tests wait
    os._exit(0)

def wait():
    print("waits", flush=True)
    assert sys.stdin.readline()
"""
HOW: Final = [("python", "page"), ("c", "page"), ("c", "number"), ("python", "word")]
by_all = pytest.mark.parametrize("how", HOW, ids="-".join)
by_both = pytest.mark.parametrize("how", HOW[:2], ids="-".join)
BY_C: Final = HOW[1]


@contextmanager
def _program(
    server: Serving, credential: str, secret: str, text: str, *, how: tuple[str, str] = BY_C, on_lapse: str = "ask"
) -> Iterator["subprocess.Popen[str]"]:
    """A program that holds a lease and has to end well; from its `wait` it goes on with the next line."""
    words = [sys.executable, "-c", HEAD + text, server.url, credential, secret, *how, on_lapse]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as one:
        try:
            yield one
            said, wrong = one.communicate(timeout=LONG)
            assert one.returncode == 0, said + wrong
        finally:
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGKILL)  # its children too


def _waits(program: "subprocess.Popen[str]") -> None:
    assert program.stdout is not None
    said = program.stdout.readline()
    if said != "waits\n":
        raise AssertionError(said + "".join(program.communicate(timeout=LONG)))


def _go_on(program: "subprocess.Popen[str]") -> None:
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


def _receipt(server: Serving, made: dict[str, Any]) -> dict[str, Any]:
    receipt = reset(server, made["id"])["receipt"]
    assert receipt["confirmed"] is True
    told: dict[str, Any] = receipt["verifiers"]
    return told


BEGINS: Final = """
seen, shown = [verifier.instance], verifier._nodes.headers()
for _ in range(2):
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        assert verifier.verify_warm(secret) is None and not verifier._nodes._idle
        assert verifier._nodes.headers() != shown
        assert verifier._holder._name.endswith(f"/{os.getpid()}")
        assert isinstance(verifier._here, mmap.mmap) is (known_by != "number")
        assert verifier.verify(secret) and verifier.wait_until_leased(60)
        assert verifier.verify(secret) and verifier.verify_warm(secret)
        os.write(writing, verifier.instance.encode())
        leave()
    ends_well(child)
    seen.append(os.read(reading, 4096).decode())
assert verifier.instance == seen[0] and verifier.verify_warm(secret)
assert len(set(seen)) == 3
verifier.close()
"""


@by_all
def test_f10_a_child_begins_anew_and_its_parent_goes_on(server: Serving, credential: str, how: tuple[str, str]) -> None:
    with _program(server, credential, server.create()["secret"], BEGINS, how=how):
        pass


LOOKS: Final = {
    "verify": "verifier.verify(secret).code == 'replaced'",
    "verify_warm": "verifier.verify_warm(secret) is None",
    "lease": "verifier.lease == 0",
    "node": "verifier.node == ''",
    "refused": "verifier.refused == ''",
    "instance": "verifier.instance != instance",
    "wait_until_leased": "verifier.wait_until_leased(60) and verifier._holder.instance != instance",
}
REMEMBERS: Final = """
instance = verifier.instance
verifier._attachment.refused = "by its parent's node"
child = fork()
if child == 0:
    wait()
    assert LOOK
    leave()
ends_well(child)
verifier.close()
"""


@pytest.mark.parametrize("look", LOOKS)
def test_f0_a_child_that_nobody_was_told_of_knows_nothing_of_its_parents(
    server: Serving, credential: str, look: str
) -> None:
    """It is not in the receipt, so it decides nothing by a memory and a lease that are not its own."""
    made = server.create()
    with _program(server, credential, made["secret"], REMEMBERS.replace("LOOK", LOOKS[look])) as program:
        _waits(program)
        assert _receipt(server, made)["waited_out"] == []
        _go_on(program)


BORROWS: Final = """
ask, children = verifier._nodes.ask, []

def forks(*asked, **more):  # as the handler of a signal may
    answer = ask(*asked, **more)
    if not children:
        children.append(fork())
        if not children[0]:
            wait()
    return answer

verifier._nodes.ask = forks
code = verifier.verify(secret).code
if not children[0]:
    assert code == "replaced", code
    leave()
assert code == "valid", code
ends_well(children[0])
verifier.close()
"""


def test_f0_nor_one_that_was_forked_while_it_borrowed(server: Serving, credential: str) -> None:
    made = server.create(limit="1000/1h")
    with _program(server, credential, made["secret"], BORROWS) as program:
        _waits(program)
        assert _receipt(server, made)["waited_out"] == []
        _go_on(program)


FIRST: Final = """
child = fork()
if child == 0:
    assert verifier.verify_warm(secret) is None
    assert verifier.verify(secret)
    assert verifier.wait_until_leased(60) and verifier.verify(secret)
    assert verifier.lease > 0 and verifier.verify_warm(secret)
    leave()
ends_well(child)
verifier.close()
"""


@by_both
@pytest.mark.parametrize("on_lapse", ["ask", "refuse"])
def test_f10_the_first_request_of_a_child_is_answered_and_it_gets_a_lease_of_its_own(
    server: Serving, credential: str, how: tuple[str, str], on_lapse: str
) -> None:
    with _program(server, credential, server.create()["secret"], FIRST, how=how, on_lapse=on_lapse):
        pass


AT_ONCE: Final = """
from keyturn.sdk import verifier as module
module._FIRST_LEASE = 600_000_000
attend = verifier._attend

def attend_until_leased():
    attend()
    assert verifier._attachment.joined.wait(60)

for ask, answers in ((verifier.verify_warm, lambda said: said is None), (verifier.verify, bool)):
    child = fork()
    if child == 0:
        verifier._attend = attend_until_leased
        assert answers(ask(secret))
        leave()
    ends_well(child)
verifier.close()
"""


def test_f10_nor_is_it_refused_where_the_lease_comes_while_it_is_looked_for(server: Serving, credential: str) -> None:
    with _program(server, credential, server.create()["secret"], AT_ONCE, on_lapse="refuse"):
        pass


ASKS_NOTHING: Final = """
def ends():
    assert threads() == 1
    os._exit(0)

for end in (ends, sys.exit, lambda: os.execvp("true", ["true"])):
    child = fork()
    if child == 0:
        end()
    ends_well(child)
assert verifier.lease > 0
wait()
assert verifier.lease > 0
verifier.close()
"""


@by_both
def test_f10_no_reset_waits_for_children_that_ask_nothing(
    server: Serving, credential: str, how: tuple[str, str]
) -> None:
    """Workers of `multiprocessing`, and what is between a fork and its exec, end without a word."""
    with _program(server, credential, server.create()["secret"], ASKS_NOTHING, how=how) as program:
        _waits(program)
        assert _receipt(server, server.create())["waited_out"] == []
        _go_on(program)


LEAVES: Final = """
for end in (sys.exit, verifier.close):
    child = fork()
    if child == 0:
        assert verifier.verify(secret) and verifier.wait_until_leased(60)
        end()
        os._exit(0)
    ends_well(child)
    child = fork()
    if child == 0:
        assert verifier.verify(secret)
        end()
        os._exit(0)
    ends_well(child)
wait()
verifier.close()
"""


@by_both
def test_f5_nor_for_one_that_has_left(server: Serving, credential: str, how: tuple[str, str]) -> None:
    with _program(server, credential, server.create()["secret"], LEAVES, how=how) as program:
        _waits(program)
        assert _receipt(server, server.create())["waited_out"] == []
        _go_on(program)


CLOSES: Final = """
def closed():
    assert lapsed(verifier.verify) and lapsed(verifier.verify_warm)
    assert threads() == 1
    os._exit(0)

for close in (verifier.close, lambda: verifier.lease or verifier.close()):
    child = fork()
    if child == 0:
        close()
        closed()
    ends_well(child)
assert verifier.verify(secret) and verifier.lease > 0
verifier.close()
child = fork()
if child == 0:
    closed()
ends_well(child)
"""


@by_both
def test_what_is_closed_stays_so_in_a_child(server: Serving, credential: str, how: tuple[str, str]) -> None:
    with _program(server, credential, server.create()["secret"], CLOSES, how=how):
        pass


HELD: Final = """
held, let_go = threading.Event(), threading.Event()

def hold():
    with verifier._turn(), verifier._memory._writing, verifier._borrower._together._asking:
        held.set()
        let_go.wait()

threading.Thread(target=hold, daemon=True).start()
assert held.wait(60)
child = fork()
if child == 0:
    sys.setswitchinterval(1e-6)
    at_once, seen = threading.Barrier(8), []

    def ask():
        at_once.wait()
        assert verifier.verify(secret)
        seen.append(verifier.instance)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(seen) == 8 and len(set(seen)) == 1
    assert verifier.wait_until_leased(60) and verifier.verify(secret)
    leave()
ends_well(child)
let_go.set()
verifier.close()
"""


@by_both
def test_f10_a_child_waits_for_no_thread_of_its_parent(server: Serving, credential: str, how: tuple[str, str]) -> None:
    """What one of them held at the fork is held for ever; the child's own begin anew once."""
    with _program(server, credential, server.create(limit="1000/1h")["secret"], HELD, how=how):
        pass


NO_THREAD: Final = """
child = fork()
if child == 0:
    threading.stack_size(1 << 50)
    for _ in range(3):
        assert lapsed(verifier.verify) if on_lapse == "refuse" else verifier.verify(secret)
    threading.stack_size(0)
    assert verifier.verify(secret) and verifier.wait_until_leased(60)
    assert verifier.verify(secret) and verifier.verify_warm(secret)
    leave()
ends_well(child)
verifier.close()
"""


@pytest.mark.parametrize("on_lapse", ["ask", "refuse"])
def test_a_child_that_can_begin_no_thread_attaches_once_it_can(server: Serving, credential: str, on_lapse: str) -> None:
    with _program(server, credential, server.create()["secret"], NO_THREAD, on_lapse=on_lapse):
        pass
