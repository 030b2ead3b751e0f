"""Decides.  Pure functions over frozen values: no clock, file, socket, database or random source."""
