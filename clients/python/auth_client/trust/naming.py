"""How a verifier that takes its keys over gRPC says who it is."""

from ..calls import Metadata
from ..sources import CONSUMER_NAME, USER_AGENT, checked_name

AGENT = ("grpc.primary_user_agent", USER_AGENT)
"""For a channel's options. What gRPC says of itself follows it."""


def named(consumer_name: str) -> Metadata:
    """For a call. Raises ValueError for a name that cannot be sent."""
    return ((CONSUMER_NAME, checked_name(consumer_name)),) if consumer_name else ()
