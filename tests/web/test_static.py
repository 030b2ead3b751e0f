"""What a browser keeps for good: whole, named by what it holds, and with its braces in pairs."""

import gzip
import re
from importlib.resources import files

import pytest

from tests.web.desk import Desk

NAMES = sorted(one.name for one in files("keyturn.web").joinpath("static").iterdir())


@pytest.mark.parametrize("name", [one for one in NAMES if one.endswith(".css") and one.startswith("keyturn")])
def test_a_style_has_each_rule_whole(name: str) -> None:
    text = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", (files("keyturn.web") / "static" / name).read_text(), flags=re.DOTALL)
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        depth += line.count("{") - line.count("}")
        assert 0 <= depth <= 2, (name, number)
        assert depth < 2 or not line.startswith("@"), (name, number)
    assert depth == 0
    assert not re.search(r",\s*@", text)


def test_a_file_is_kept_for_good_under_what_it_holds(shared_desk: Desk) -> None:
    page = shared_desk.server.call("/", key="")
    named = re.search(r'href="(/static/\w+/keyturn.css)"', page.text)
    assert named is not None
    there = shared_desk.server.call(named[1])
    assert there.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert there.text == (files("keyturn.web") / "static" / "keyturn.css").read_text()
    assert shared_desk.server.call("/static/000000000000/keyturn.css").status == 404
    assert shared_desk.server.call("/static/any/..%2Fapp.py").status == 404


def test_everything_a_page_may_load_is_small_when_packed() -> None:
    """A first load is under 100 kB; `keyturn bench` measures it on the wire."""
    packed = sum(len(gzip.compress((files("keyturn.web") / "static" / name).read_bytes(), 9)) for name in NAMES)
    assert packed < 90_000
