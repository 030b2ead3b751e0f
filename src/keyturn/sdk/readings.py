"""In which ways an application may read a request: where there is more than one, what each of them needs is asked.

An application at a prefix (`root_path`, `SCRIPT_NAME`) routes by what follows it, and a few by the whole path.  Some
take the method from a header, and some an encoded slash for no slash.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from keyturn.sdk.needs import Finder, Wanted, strictest

OVERRIDES: Final = ("x-http-method-override", "x-http-method", "x-method-override")
"""Headers that some applications take the method from."""


class Otherwise(NamedTuple):
    """How a request may be read, other than as it stands."""

    methods: Sequence[str] = ()
    paths: Sequence[str] = ()
    """Each needs what is said of it, and is refused where nothing is."""
    whole: str = ""
    """The path with the prefix, which the one that stands is without: needs what is said of it, where something is."""


def wanted(find: Finder, method: str, path: str, otherwise: Otherwise | None) -> Wanted:
    """What a request needs, in whichever of these ways it is read."""
    need = find(method, path)
    if otherwise is None:
        return need
    for way in (method, *otherwise.methods):
        for at in (path, *otherwise.paths):
            need = strictest(need, find(way, at))
        if otherwise.whole:
            need = strictest(need, find.beside(way, otherwise.whole))
    return need


def within(root: str, path: str) -> tuple[str, Otherwise]:
    """The path as an application at this prefix routes by it, and how else it may be read.

    Where the prefix stands elsewhere than at the beginning, or ends within a part, there is no telling: some frameworks
    split at it all the same, so the path counts both ways.
    """
    before, found, rest = path.partition(root)
    if not found:
        return path, Otherwise()
    if before or rest[:1] not in ("", "/"):
        return path, Otherwise(paths=(rest,))
    return rest, Otherwise(whole=path)


def overridden(values: Iterable[str]) -> tuple[str, ...]:
    """The methods that headers speak of."""
    return tuple(method for value in values if (method := value.strip()))
