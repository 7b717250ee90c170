"""What to trust, asked for over gRPC: keys and ended sessions as they change, or the keys now and then.

Needs `auth-client[grpc]`; follows and asks on grpc.aio.
"""

from .grpc_jwks import GrpcJwks
from .stream import TrustHealth, TrustStream

__all__ = ["GrpcJwks", "TrustHealth", "TrustStream"]
