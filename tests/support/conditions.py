"""Waiting for what must come true, instead of for a time."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, deadline: float = 15.0, every: float = 0.01
) -> None:
    """Returns when `condition` holds. Raises TimeoutError after `deadline` seconds."""
    async with asyncio.timeout(deadline):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(every)
