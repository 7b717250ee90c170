"""Requests over HTTP connections that stay open, as raw as they come: the load generator should cost little."""

import asyncio
from collections.abc import Mapping

_END_OF_HEAD, _LENGTH = b"\r\n\r\n", b"content-length: "


class UnexpectedAnswer(Exception):
    """The head of an answer that a measurement did not count on."""


def request(method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """As it goes over the wire."""
    given = {"Host": "bench", **(headers or {})}
    if body:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = (f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()))
    return "\r\n".join((*lines, "", "")).encode() + body


class Connections:
    """To one address: as many as calls are under way, opened when needed, for a server hangs up on those that wait."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes, *, status: int = 200) -> None:
        """Raises UnexpectedAnswer."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        writer.write(request)
        head = (await reader.readuntil(_END_OF_HEAD)).lower()
        if not head.startswith(b"http/1.1 %d " % status):
            raise UnexpectedAnswer(head.decode("latin-1"))
        _, found, rest = head.partition(_LENGTH)
        if found and status != 304:
            await reader.readexactly(int(rest.partition(b"\r")[0]))
        self._idle.append((reader, writer))

    def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
