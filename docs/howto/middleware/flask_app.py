"""Orders behind keyturn, in Flask.

KEYTURN_URL=http://127.0.0.1:8787 KEYTURN_CREDENTIAL_FILE=verifier.key python flask_app.py 8000
"""

import os
import sys
from typing import Any

from flask import Flask, request

from keyturn.sdk import Verifier
from keyturn.sdk.wsgi import OPEN, KeyturnMiddleware

app = Flask(__name__)
app.wsgi_app = KeyturnMiddleware(  # type: ignore[method-assign]  # this is how Flask has it
    app.wsgi_app,
    Verifier(os.environ["KEYTURN_URL"].split(), credential_file=os.environ["KEYTURN_CREDENTIAL_FILE"]),
    needs={"/health": OPEN, "/orders": "orders", "DELETE /orders": "orders:admin"},
    proxies=os.environ.get("PROXIES", "").split(),
)


@app.route("/orders", methods=["GET", "POST", "DELETE"])
@app.get("/health")
def orders() -> dict[str, Any]:
    """Answer whose key came; it is None where none was asked for."""
    key = request.environ["keyturn"]
    return {"orders": [], "key_id": key and key.key_id}


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
