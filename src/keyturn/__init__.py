"""keyturn issues API keys, verifies them on every request and resets them by a strict protocol."""

__version__ = "0.1.0"
