"""Every group of figures, in the order of the table."""

from collections.abc import Callable

from keyturn.bench import dashboard, fleet, http, start, store, verify
from keyturn.bench.figure import Figure


def run(*, rounds: int, postgresql_url: str, only: str, say: Callable[[str], None]) -> list[Figure]:
    """Measure the groups whose name holds `only`; `say` tells which one is under way."""
    groups: dict[str, Callable[[], list[Figure]]] = {
        "verify in process": lambda: verify.figures(rounds=rounds),
        "verify over HTTP": lambda: http.figures(rounds=max(3, rounds // 3), say=say),
        "database, sqlite": lambda: store.figures(rounds=rounds),
        "reset over HTTP": lambda: [store.over_http(rounds=rounds * 5)],
        "memory": verify.memory_figures,
        "dashboard": lambda: dashboard.figures(rounds=rounds),
        "start": lambda: start.figures(rounds=rounds),
    }
    if postgresql_url:
        groups["database, postgresql"] = lambda: store.figures(rounds=rounds, database_url=postgresql_url)
        groups["fleet"] = lambda: fleet.figures(rounds=rounds, database_url=postgresql_url)
    figures: list[Figure] = []
    for name, measure in groups.items():
        if only in name:
            say(f"measuring: {name}")
            figures += measure()
    return figures
