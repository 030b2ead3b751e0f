"""What may be imported where (the rings themselves are import contracts, checked by `make lint`)."""

import ast
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
for ring in ("keyturn.core", "keyturn.verify"):
    package = importlib.import_module(ring)
    for module in pkgutil.walk_packages(package.__path__, ring + "."):
        importlib.import_module(module.name)
"""


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python without site-packages, as after a bare install."""
    return subprocess.run([sys.executable, "-I", "-S", *words], capture_output=True, text=True, check=False)


def test_core_and_verify_need_no_third_party_package() -> None:
    done = bare("-c", IMPORT_ALL, str(SRC))
    assert done.returncode == 0, done.stderr


IMPORT_SDK = """
import sys
sys.path.insert(0, sys.argv[1])
from keyturn.sdk import Verifier
from keyturn.sdk.asgi import KeyturnMiddleware
from keyturn.sdk.wsgi import KeyturnMiddleware
assert not Verifier("http://127.0.0.1:1", "kt_x").verify("nonsense")
"""


def test_verifying_in_the_own_process_needs_no_third_party_package() -> None:
    done = bare("-c", IMPORT_SDK, str(SRC))
    assert done.returncode == 0, done.stderr


def test_the_bare_python_of_this_test_has_no_third_party_package() -> None:
    assert bare("-c", "import sqlalchemy").returncode != 0


def _protocols(tree: ast.AST) -> set[str]:
    """What classes there are protocols."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {one.name for one in classes if any(ast.unparse(base).startswith("Protocol") for base in one.bases)}


def test_no_method_of_a_protocol_is_called_by_the_protocols_name() -> None:
    """It would do nothing, and whoever checks types sees nothing wrong with it."""
    trees = {file: ast.parse(file.read_text()) for file in SRC.rglob("*.py")}
    protocols = set().union(*map(_protocols, trees.values()))
    assert "Transaction" in protocols
    found = [
        f"{file.relative_to(SRC)}:{node.lineno}: {ast.unparse(node)}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in protocols
    ]
    assert found == []
