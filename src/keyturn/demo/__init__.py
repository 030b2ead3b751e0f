"""One reset before your eyes, on a real server and a real database; every printed fact comes from an answer."""
