"""Orders behind keyturn, in WSGI without a framework.

KEYTURN_URL=http://127.0.0.1:8787 KEYTURN_CREDENTIAL_FILE=verifier.key python wsgi_app.py 8000
"""

import json
import os
import sys
from collections.abc import Iterable
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from keyturn.sdk import Verifier
from keyturn.sdk.wsgi import OPEN, KeyturnMiddleware


def orders(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer whose key came; it is None where none was asked for."""
    key = environ["keyturn"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"orders": [], "key_id": key and key.key_id}).encode()]


verifier = Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"])
app = KeyturnMiddleware(
    orders,
    verifier,
    needs={"/health": OPEN, "/orders": "orders", "DELETE /orders": "orders:admin"},
    proxies=os.environ.get("PROXIES", "").split(),
)

if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
