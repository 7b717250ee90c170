"""The HTTP edge: key set, metadata, health, metrics. Only `errors.py` knows status codes."""
