"""The WSGI example in two processes, forked from one that has loaded it and holds a lease (`gunicorn --preload`)."""

import os
import signal
import sys
from wsgiref.simple_server import make_server

from tests.middleware.program import FOLDER
from tests.postgres import die_with_parent

sys.path.insert(0, str(FOLDER))
import wsgi_app  # type: ignore[import-not-found]  # the example lies there


def main() -> None:
    if not wsgi_app.verifier.wait_until_leased(30):
        raise SystemExit("no lease")
    server = make_server("127.0.0.1", int(sys.argv[1]), wsgi_app.app)
    for _ in range(2):
        if os.fork() == 0:
            die_with_parent()
            server.serve_forever()
    signal.pause()


if __name__ == "__main__":
    main()
