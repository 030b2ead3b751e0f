"""`make bench`: `keyturn bench` with a PostgreSQL of its own to measure on as well."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.postgres import packaged_binaries, started


def main() -> int:
    """Run the command as it is installed; its arguments are ours."""
    server = started(packaged_binaries(), place=Path(tempfile.gettempdir()))  # a disk is measured too
    try:
        url = server.url(server.create_database())
        words = [sys.executable, "-m", "keyturn", "bench", *sys.argv[1:]]
        return subprocess.run(words, check=False, env=os.environ | {"KEYTURN_BENCH_POSTGRESQL": url}).returncode
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
