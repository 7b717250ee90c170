"""What goes over the wire, for requests that no library would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.service import Service

PATIENCE = 10
"""Seconds of a test for an answer that does not come."""


@dataclass(frozen=True)
class Wire:
    """A connection. `read_all` is for a server that hangs up in the end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_all(self) -> bytes:
        """Until the other side hangs up, however it does; a TimeoutError if it does not."""
        answered = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while chunk := await self.reader.read(65536):
                    answered += chunk
        except ConnectionError:
            pass
        return answered


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(service.where.http.host, service.where.http.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(service: Service, sent: bytes) -> bytes:
    """Everything that is answered to `sent`, by a server that hangs up in the end."""
    async with wire(service) as line:
        line.writer.write(sent)
        return await line.read_all()
