"""What a call cannot do without, bare: each costs what it costs this process, at the same number in flight."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import repeat
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from bench.load import IN_FLIGHT, Call, Cost, cost


async def floor(call: Call, calls: int) -> Cost:
    return await cost(repeat(call, calls), pid=os.getpid())


def signing() -> Call:
    """One RSA-2048 signature, in line."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    message, pkcs, sha = os.urandom(600), padding.PKCS1v15(), SHA256()

    async def sign() -> None:
        key.sign(message, pkcs, sha)

    return sign


@asynccontextmanager
async def bare_connections(dsn: str) -> AsyncIterator[Callable[[Callable[[Any], Awaitable[object]]], Call]]:
    """Makes calls of `question(connection)`. As many connections as calls in flight, so that there is no pool."""
    async with AsyncExitStack() as stack:
        free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(IN_FLIGHT):
            connection = await asyncpg.connect(dsn)
            stack.push_async_callback(connection.close)
            free.put_nowait(connection)

        def asked(question: Callable[[Any], Awaitable[object]]) -> Call:
            async def ask() -> None:
                connection = free.get_nowait()
                try:
                    await question(connection)
                finally:
                    free.put_nowait(connection)

            return ask

        yield asked
