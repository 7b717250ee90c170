"""Where every asyncio task stands, for a test that took too long: what it waits for is not on the stack by then."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any


def where_tasks_stand() -> str:
    """A paragraph for each task that is not done, from what was called first to what it waits for."""
    tasks = (each for each in gc.get_objects() if isinstance(each, asyncio.Task))
    return "\n\n".join("\n".join([task.get_name(), *_frames(task.get_coro())]) for task in tasks if not task.done())


def _frames(coroutine: Any) -> Iterator[str]:
    # The chain ends at what was not written with `async def`, an asynchronous generator's step among it.
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        coroutine = coroutine.cr_await
