"""Asking before what cannot be undone."""

import sys

import click


def sure(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, on a terminal only: a script has decided already."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(question, abort=True, err=True)
