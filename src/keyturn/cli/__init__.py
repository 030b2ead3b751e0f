"""The command line: data on standard output, talk on standard error, secrets from files and never from arguments."""

from keyturn.cli.root import main

__all__ = ["main"]
