"""Talks to others: clock, randomness, password hashing, files."""
