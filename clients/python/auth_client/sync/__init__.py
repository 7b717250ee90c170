"""On grpcio with threads: call the service, call others as somebody, guard a server. Needs `auth-client[grpc]`."""

from .client import AuthClient
from .guard import Guard
from .session import Session
from .verifier import BlockingVerifier

__all__ = ["AuthClient", "BlockingVerifier", "Guard", "Session"]
