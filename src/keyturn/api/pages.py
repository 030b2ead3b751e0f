"""Pages for people: what a problem type means, and the API described, without any asset from elsewhere."""

import json
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from keyturn.api.problem import INTERNAL, INTERNAL_TITLE
from keyturn.core.refusal import NotFound, Refusal
from keyturn.edge.refused import Refused

router = APIRouter(include_in_schema=False)
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE: Final = """\
:root { color-scheme: light dark; --ink: light-dark(#16202c, #e6ebf1); --soft: light-dark(#51606f, #9fb0c0);
  --page: light-dark(#fff, #10161d); --card: light-dark(#f4f6f9, #18212b); --line: light-dark(#d8dfe7, #2c3845);
  --get: light-dark(#0b6b43, #5fd3a0); --post: light-dark(#0a56b5, #7db8ff); --other: light-dark(#8a4b00, #ffb866); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0 0 .25rem; font-size: 1.9rem; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.2rem; text-transform: capitalize; }
p { margin: .5rem 0; }
a { color: var(--post); }
code, pre { font: .9em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; background: var(--page); border: 1px solid var(--line); border-radius: .4rem; }
details { margin: .5rem 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
summary { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline;
  padding: .6rem .8rem; cursor: pointer; }
summary span { color: var(--soft); }
summary b { min-width: 3.6rem; color: var(--other); } b.get { color: var(--get); } b.post { color: var(--post); }
details > div { padding: 0 .8rem .8rem; border-top: 1px solid var(--line); overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .35rem .5rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
 th { color: var(--soft); font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; } .soft { color: var(--soft); }
"""


@router.api_route("/openapi.json", methods=["GET", "HEAD"])
def openapi(request: Request) -> JSONResponse:
    """The API for a program."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> HTMLResponse:
    """The API for a person, made from the OpenAPI document."""
    return _page("keyturn API", _described(request.app.openapi()))


@router.get("/docs.css")
def style() -> HTMLResponse:
    """The style of these pages."""
    return HTMLResponse(_STYLE, media_type="text/css")


@router.get("/problems/{code}", response_class=HTMLResponse)
def problem_page(code: str) -> HTMLResponse:
    """What a problem type means: the address in its `type` leads here."""
    if code == INTERNAL:
        return _page(code, f"<h1><code>{code}</code></h1><p>{escape(INTERNAL_TITLE)}</p><p class=soft>Status 500</p>")
    kind = next((one for one in _kinds(Refusal) if one.kind == code), None)
    if kind is None:
        raise Refused(NotFound())
    why = (kind.__doc__ or "").strip()
    why = "" if why.startswith(f"{kind.__name__}(") else f"<p>{escape(why)}</p>"
    body = f"<h1><code>{escape(code)}</code></h1><p>{escape(kind.title)}</p>{why}<p class=soft>Status {kind.status}</p>"
    return _page(code, body + '<p><a href="/docs">The API</a></p>')


def _kinds(of: type[Refusal]) -> list[type[Refusal]]:
    return [one for child in of.__subclasses__() if hasattr(child, "kind") for one in (child, *_kinds(child))]


def _page(title: str, body: str) -> HTMLResponse:
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1"><link rel=stylesheet href="/docs.css">'
    )
    return HTMLResponse(f"{head}<main>{body}</main></html>", headers={"content-security-policy": _POLICY})


def _described(api: dict[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for path, calls in api["paths"].items():
        for method in _METHODS:
            if method in calls:
                group = (calls[method].get("tags") or ["other"])[0]
                groups.setdefault(group, []).append(_call(api, path, method, calls[method]))
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in groups)
    said = "".join(f"<p>{_prose(line)}</p>" for line in api["info"]["description"].split("\n\n"))
    parts = "".join(f'<h2 id="{escape(name)}">{escape(name)}</h2>' + "".join(calls) for name, calls in groups.items())
    head = f"<h1>keyturn API</h1><p class=soft>version {escape(api['info']['version'])}, "
    return f'{head}<a href="/openapi.json">OpenAPI 3.1</a></p>{said}<nav>{links}</nav>{parts}'


def _prose(text: str) -> str:
    """Words with `code` in them."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _call(api: dict[str, Any], path: str, method: str, call: dict[str, Any]) -> str:
    head = (
        f'<summary><b class="{method}">{method.upper()}</b><code>{escape(path)}</code>'
        f"<span>{escape(call.get('summary', ''))}</span></summary>"
    )
    parts = [f"<p>{_prose(call.get('description', ''))}</p>"]
    rows = [
        (one["name"], f"{one['in']}, {_type(api, one['schema'])}", one.get("description", ""))
        for one in call.get("parameters", ())
    ]
    if rows:
        parts.append(_table("parameter", rows))
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        schema = _resolve(api, body)
        parts.append(_fields(api, "body", schema))
        parts += [f"<pre>{escape(json.dumps(example, indent=2))}</pre>" for example in schema.get("examples", ())]
    for status, answer in call.get("responses", {}).items():
        content = answer.get("content", {}).get("application/json", {}).get("schema")
        if status.startswith("2") and content:
            parts.append(_fields(api, f"answer {status}", _resolve(api, content)))
    return f"<details>{head}<div>{''.join(parts)}</div></details>"


def _fields(api: dict[str, Any], title: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (name + ("" if name in required else "?"), _type(api, one), one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]
    return _table(title, rows) if rows else ""


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{_prose(said)}</td></tr>"
        for name, kind, said in rows
    )
    return f"<table><tr><th>{escape(title)}</th><th>form</th><th></th></tr>{lines}</table>"


def _resolve(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for inner in schema.get("anyOf", ()):
        if "$ref" in inner:
            schema = inner
    reference = schema.get("$ref", "")
    found: dict[str, Any] = api["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return found


def _type(api: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_type(api, one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_type(api, schema.get('items', {}))}"
    examples = ", ".join(map(str, schema.get("examples", ())))
    return str(schema.get("format") or schema.get("const") or schema.get("type", "any")) + (
        f", such as {examples}" if examples else ""
    )
