"""The gRPC edge: unpack the message, call one use case, pack the answer. Only `errors.py` knows status codes."""
