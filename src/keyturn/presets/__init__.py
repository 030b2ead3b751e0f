"""Named policies like the practice of well-known platforms; read by `keyturn.outside.presets`."""
