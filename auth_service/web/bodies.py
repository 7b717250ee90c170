"""Bodies of requests: what they say they are, and what they hold, up to a size."""

from starlette.requests import Request

LARGEST = 64 << 10
"""Bytes. The largest honest request is a password of 1,024 characters and a description."""


class TooLarge(Exception):
    """The text is for the caller."""


def media_type_of(request: Request) -> str:
    """What the body says it is, such as `application/json`, without parameters; empty where it does not say."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, *, largest: int = LARGEST) -> bytes:
    """Raises TooLarge. What is left of the body is not read; the server hangs up once it has answered."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > largest:
        raise TooLarge(f"the body is too large: expected at most {largest} bytes")
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > largest:
            raise TooLarge(f"the body is too large: expected at most {largest} bytes")
    return bytes(parts)
