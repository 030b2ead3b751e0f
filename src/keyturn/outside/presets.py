"""The policy presets that ship as files, and an operator's own files of the same form."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from keyturn.core import policy as policies
from keyturn.core.policy import DEFAULT_NAME, Policy


@cache
def load() -> Mapping[str, Policy]:
    """Every preset by name, the default first."""
    texts = {
        file.name.removesuffix(".toml"): file.read_text("utf-8")
        for file in files("keyturn.presets").iterdir()
        if file.name.endswith(".toml")
    }
    loaded: dict[str, Policy] = {}
    for name in sorted(texts, key=lambda name: (name != DEFAULT_NAME, name)):
        document = tomllib.loads(texts[name])
        base = loaded[document["base"]] if document["base"] else None
        loaded[name] = policies.from_wire(_values(document), name=name, base=base)
    return loaded


def sources(name: str) -> Mapping[str, str]:
    """Where each value of a preset's own file comes from: `article`, `docs` or `design`."""
    text = (files("keyturn.presets") / f"{name}.toml").read_text("utf-8")
    return {field: entry["source"] for field, entry in tomllib.loads(text)["fields"].items()}


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    return {field: entry["value"] for field, entry in document["fields"].items()}
