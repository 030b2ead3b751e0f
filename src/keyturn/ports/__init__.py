"""What flows need from outside, as protocols; each says what its outage means."""
