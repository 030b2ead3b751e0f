"""What a verification costs in process, warm and refused, and how much memory a cached key takes."""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from keyturn.bench.figure import Figure, interleaved
from keyturn.core import secret
from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import FOREVER, from_micros
from keyturn.core.limit import Limit, parse
from keyturn.core.secret import Pepper
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier

WARM_REACH: Final = 4.0
MEMORY_REACH: Final = 400.0
MEMORY_KEYS: Final = 1_000_000
NOW: Final = 1_900_000_000_000_000
_KEYS: Final = 1000
_TURNS: Final = 20
_WANTED: Final = ("orders:read",)
_ADDRESS: Final = "198.51.100.77"
_ALLOWLIST: Final = (*(f"10.{at}.0.0/16" for at in range(9)), "198.51.100.0/24")


class Timing(NamedTuple):
    """Seconds a call, ours and the floor's."""

    ours: float
    floor: float


def figures(*, rounds: int) -> list[Figure]:
    """A warm verification with every check, and a refused one; cold ones are the store's figure."""
    warm, refused = measure_warm(rounds=rounds), measure_refused(rounds=rounds)
    floor_name = "SHA-256 and one look-up"
    return [
        Figure(
            name="verify in process, warm, every check",
            ours=warm.ours * 1e6,
            floor=warm.floor * 1e6,
            unit="us",
            floor_name=floor_name,
            reach=WARM_REACH,
        ),
        Figure(
            name="verify in process, refused (suspended)",
            ours=refused.ours * 1e6,
            floor=refused.floor * 1e6,
            unit="us",
            floor_name=floor_name,
        ),
    ]


def memory_figures() -> list[Figure]:
    """Memory a cached key at a million, beside the bare dictionary of the same entries."""
    ours, floor = measure_memory(MEMORY_KEYS)
    return [
        Figure(
            name=f"memory a cached key, of {MEMORY_KEYS:,}",
            ours=ours,
            floor=floor,
            unit="bytes",
            floor_name="a dictionary, digest to 64 bytes",
            reach=MEMORY_REACH,
            absolute=True,
        )
    ]


def measure_warm(*, rounds: int) -> Timing:
    """Accepted: dates, suspension, permission, a limit and ten networks, the address seen before."""
    return _measure("valid", suspended=False, rounds=rounds)


def measure_refused(*, rounds: int) -> Timing:
    """Refused: the same keys, suspended."""
    return _measure("suspended", suspended=True, rounds=rounds)


def measure_memory(count: int) -> tuple[float, float]:
    """Bytes of resident memory a key, each measured in a process of its own: a verifier's, a bare dictionary's."""
    return _in_process("verifier", count), _in_process("dictionary", count)


def key_state(number: int, *, suspended: bool = False, limit: Limit | None = None) -> KeyState:
    """A key as they are in the field, with names of full length."""
    version = SecretState(
        version=1,
        starts_at=from_micros(NOW - 10**12),
        dangerous_starts_at=from_micros(NOW - 10**12),
        stops_at=FOREVER,
        stopped=False,
        replaced_by="",
        watched=False,
    )
    return KeyState(
        number=number,
        key_id=f"key_{number:022}",
        account_id=f"acc_{number // 100:022}",
        owner_id=f"usr_{number // 10:022}",
        environment="live",
        permissions=("orders:write", "positions:read"),
        allowlist=_ALLOWLIST,
        limit=limit,
        expires_at=from_micros(NOW + 10**15),
        suspended=suspended,
        revoked=False,
        secrets=(version,),
    )


def _measure(code: str, *, suspended: bool, rounds: int) -> Timing:
    presented = _secrets(_KEYS)
    verifier = Verifier()
    limit = parse("1000000000/1h")
    for number, one in enumerate(presented):
        fill = Fill(rev=0, state=key_state(number, suspended=suspended, limit=limit), version=1)
        verifier.fill(secret.fingerprint(one), fill, now=NOW)
    known = {secret.fingerprint(one): b"" for one in presented}
    ours, floor = interleaved(
        lambda: _timed(lambda: _verify_all(verifier, presented, code)),
        lambda: _timed(lambda: _look_up_all(known, presented)),
        rounds=rounds,
    )
    return Timing(ours, floor)


def _verify_all(verifier: Verifier, presented: Sequence[str], code: str) -> None:
    verify = verifier.verify
    for one in presented:
        verify(one, permissions=_WANTED, ip=_ADDRESS, now=NOW)
    assert verify(presented[0], permissions=_WANTED, ip=_ADDRESS, now=NOW).code == code  # noqa: S101  # what is measured


def _look_up_all(known: dict[bytes, bytes], presented: Sequence[str]) -> None:
    for one in presented:
        known[sha256(one.encode()).digest()]


def _timed(task: Callable[[], None]) -> float:
    task()  # warm, as the name says
    began = time.perf_counter()
    for _ in range(_TURNS):
        task()
    return (time.perf_counter() - began) / (_TURNS * _KEYS)


def _secrets(count: int) -> list[str]:
    chance = random.Random(1)  # noqa: S311  # measured, never used
    pepper = Pepper("bench", b"bench")
    return [
        secret.make(brand="kt", environment="live", entropy=chance.randbytes(32), pepper=pepper).text.reveal
        for _ in range(count)
    ]


def _in_process(what: str, count: int) -> float:
    words = [sys.executable, "-m", "keyturn.bench.verify", what, str(count)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout)


def _fill_verifier(count: int) -> object:
    verifier = Verifier(most_keys=count)
    verifier.start_at(rev=0, now=NOW)
    for number in range(count):
        verifier.fill(sha256(b"%d" % number).digest(), Fill(rev=0, state=key_state(number), version=1), now=NOW)
    assert len(verifier) == count  # noqa: S101  # what is measured
    return verifier


def _fill_dictionary(count: int) -> object:
    return {sha256(b"%d" % number).digest(): b"%064d" % number for number in range(count)}


def _resident() -> int:
    """Bytes of memory this process has in use.  Linux tells now; elsewhere the most it ever had must do."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main(what: str, count: int) -> None:
    fill = {"verifier": _fill_verifier, "dictionary": _fill_dictionary}[what]
    fill(1000)
    before = _resident()
    held = fill(count)
    sys.stdout.write(f"{(_resident() - before) / count}\n")
    del held


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
