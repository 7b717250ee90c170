"""On grpclib: call the service, call others as somebody, guard a server. Needs `auth-client[grpclib]`."""

from .client import AuthClient
from .guard import Guard
from .session import Session

__all__ = ["AuthClient", "Guard", "Session"]
