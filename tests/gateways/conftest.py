"""The fixtures of the gRPC door: it is one service."""

from tests.rpc.conftest import databases, facility, logs, service, shared_limits, start

__all__ = ["databases", "facility", "logs", "service", "shared_limits", "start"]
