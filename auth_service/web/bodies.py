"""Bodies of requests: what they say they are, and what they hold, up to a size."""

from starlette.requests import ClientDisconnect, Request

LARGEST = 64 << 10
"""Bytes. The largest honest request is a password of 1,024 characters and a description."""


class TooLarge(Exception):
    """The text is for the caller."""


def media_type_of(request: Request) -> str:
    """What the body says it is, such as `application/json`, without parameters; empty where it does not say."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, *, largest: int = LARGEST) -> bytes:
    """Raises TooLarge, ClientDisconnect. What is left of the body is not read; the server hangs up before long."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > largest:
        raise TooLarge(f"the body is too large: expected at most {largest} bytes")
    body, is_whole = b"", False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > largest:
            raise TooLarge(f"the body is too large: expected at most {largest} bytes")
        is_whole = not message.get("more_body", False)
    return body
