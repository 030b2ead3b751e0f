"""Styles and scripts: read once, compressed once, and named by what they hold, so a browser keeps them for good."""

import gzip
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

PATH: Final = "/static/"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_TAG_CHARS: Final = 12


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    packed: bytes
    kind: str
    tag: str


class Static:
    """Every file of `keyturn/web/static`."""

    def __init__(self) -> None:
        self._files = {
            one.name: _read(one.read_bytes(), one.name)
            for one in files("keyturn.web").joinpath("static").iterdir()
            if one.name.rpartition(".")[2] in _TYPES
        }

    def address(self, name: str) -> str:
        """Where a page finds the file."""
        return f"{PATH}{self._files[name].tag}/{name}"

    async def answer(self, request: Request) -> Response:
        """The file, where both its name and its tag are right."""
        found = self._files.get(request.path_params["name"])
        if found is None or request.path_params["tag"] not in (found.tag, "any"):
            return PlainTextResponse("Not found.", status_code=404)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        lasting = request.path_params["tag"] == found.tag
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if lasting else "no-cache",
            "vary": "accept-encoding",
            "cross-origin-resource-policy": "same-origin",
        }
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(found.packed if packed else found.body, media_type=found.kind, headers=headers)

    async def element(self, _request: Request) -> Response:
        """The custom element, at an address that stays, for any page to load."""
        headers = {
            "cache-control": "public, max-age=3600",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        found = self._files["keyturn-element.js"]
        return Response(found.body, media_type=found.kind, headers=headers)


def _read(body: bytes, name: str) -> _File:
    tag = sha256(body).hexdigest()[:_TAG_CHARS]
    return _File(body, gzip.compress(body, 9, mtime=0), _TYPES[name.rpartition(".")[2]], tag)
