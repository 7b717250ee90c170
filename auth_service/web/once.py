"""What is made when somebody first asks for it, and kept."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """What `make` makes; made again as long as it fails."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._making: asyncio.Task[T] | None = None

    async def get(self) -> T:
        if self._making is None or (self._making.done() and self._making.exception()):
            self._making = asyncio.create_task(self._make())
        # Whoever hangs up does not keep the others from it.
        return await asyncio.shield(self._making)
