"""Names each call: by the caller's `x-request-id` if that is a plain word of at most 36 letters, else anew."""

import re
from secrets import token_hex

import structlog

from auth_service.rpc.call import Call, Context, Handler, current

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,36}")
HEADER = "x-request-id"


def request_id(method: str, handler: Handler) -> Handler:
    """Gives the call to whoever answers it, and the id to the log and to the trailing metadata."""

    async def answer(request: object, context: Context) -> object:
        given = next((value for key, value in context.invocation_metadata() or () if key == HEADER), "")
        name = given if isinstance(given, str) and _PLAIN.fullmatch(given) else token_hex(8)
        current.set(Call(request_id=name))
        structlog.contextvars.bind_contextvars(request_id=name)
        context.set_trailing_metadata(((HEADER, name),))
        return await handler(request, context)

    return answer
