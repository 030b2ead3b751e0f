"""`python -m keyturn.cli` is `keyturn`."""

from keyturn.cli.root import main

main()
