"""Names each call: by the caller's `x-request-id` if that is a plain word of at most 36 letters, else anew."""

from collections.abc import Sequence
from urllib.parse import unquote

import structlog

from auth_service.domain.addresses import Network, client_address
from auth_service.domain.spelling import LONGEST_USER_AGENT, new_id, plain_id, printable
from auth_service.rpc.call import Call, Context, Handler, Interceptor, current

HEADER = "x-request-id"


def request_id(trusted: Sequence[Network]) -> Interceptor:
    """Gives the call to whoever answers it, and the id to the log and to the trailing metadata.

    `trusted` are the proxies that are believed where a call comes from.
    """

    def named(method: str, handler: Handler) -> Handler:
        async def answer(request: object, context: Context) -> object:
            metadata = context.invocation_metadata() or ()
            given = next((value for key, value in metadata if key == HEADER), "")
            name = (plain_id(given) if isinstance(given, str) else "") or new_id()
            agent = next((value for key, value in metadata if key == "user-agent"), "")
            address = _peer(context.peer())
            if trusted:
                address = client_address(
                    address,
                    forwarded_for=[str(value) for key, value in metadata if key == "x-forwarded-for"],
                    forwarded=[str(value) for key, value in metadata if key == "forwarded"],
                    trusted=trusted,
                )
            current.set(
                Call(request_id=name, address=address, user_agent=printable(str(agent), longest=LONGEST_USER_AGENT))
            )
            structlog.contextvars.bind_contextvars(request_id=name)
            context.set_trailing_metadata(((HEADER, name),))
            return await handler(request, context)

        return answer

    return named


def _peer(peer: str) -> str:
    """The network address in gRPC's spelling of a peer, such as `ipv4:127.0.0.1:50051` or `ipv6:%5B::1%5D:50051`."""
    scheme, _, rest = peer.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return ""
    return (unquote(rest) if "%" in rest else rest).rpartition(":")[0].strip("[]")
