"""What a replica does beside answering: the same step again and again, at its own pace or when told that it is time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from random import uniform

import structlog

from auth_service.domain.errors import AuthError, Overloaded, Unavailable

log = structlog.get_logger()

GATHERED_FOR = timedelta(milliseconds=50)
"""How long a step that was woken waits for more of the same, so that a hundred changes cost one reading."""


async def every(
    pause: timedelta, step: Callable[[], Awaitable[object]], *, woken_by: asyncio.Event | None = None
) -> None:
    """`step` for ever, with jitter so that replicas do not keep step. A failure waits for the next turn.

    `woken_by` cuts a pause short; being told is a courtesy, the pace alone is enough.
    """
    said = ""
    woken_by = woken_by or asyncio.Event()
    this = asyncio.current_task()
    assert this is not None
    # A library may lose a cancellation: `asyncio.wait_for` of Python 3.11 does where what it waits for ends just then.
    while not this.cancelling():
        await _pause(pause.total_seconds() * uniform(0.75, 1.25), woken_by)  # noqa: S311 -- jitter, not a secret
        try:
            await step()
        except (Unavailable, Overloaded):
            log.debug("background.unavailable", step=step.__qualname__)
        except AuthError as error:
            log.error("background.failed", step=step.__qualname__, cause=str(error))
        except Exception as error:
            # With its traceback once, not twice a second for as long as it lasts.
            is_new, said = said != type(error).__name__, type(error).__name__
            log.error("background.defect", step=step.__qualname__, cause=said, exc_info=is_new)
        else:
            said = ""


async def _pause(seconds: float, woken_by: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken_by.wait()
            await asyncio.sleep(GATHERED_FOR.total_seconds())
    # Before the step, not after it: what is told of during the step is worth another one.
    woken_by.clear()


@asynccontextmanager
async def in_background(*turns: Awaitable[None]) -> AsyncIterator[None]:
    """`turns` run from entry to exit, and have ended when it is left."""
    tasks = [asyncio.ensure_future(turn) for turn in turns]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
