"""A service in this process that leaves when a test says so, while the test goes on looking at it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from auth_service import app
from auth_service import settings as settings_module
from auth_service.demo import Facility
from tests.support.service import environment


@dataclass(frozen=True, slots=True)
class Leaving:
    """`leave` asks it to; `gone` is over once it has."""

    where: app.Running
    leave: Callable[[], None]
    gone: "asyncio.Task[None]"


@asynccontextmanager
async def service_that_leaves(
    database_url: str, *, facility: Facility, data_dir: Path, **changes: str
) -> AsyncIterator[Leaving]:
    """`changes` are settings. At the end it is not waited for."""
    settings, _ = settings_module.load(environment(database_url, facility=facility, data_dir=data_dir, **changes))
    asked = asyncio.Event()
    where: asyncio.Future[app.Running] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with app.running(settings) as running:
            where.set_result(running)
            await asked.wait()

    serving = asyncio.create_task(serve())
    try:
        await asyncio.wait((serving, where), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield Leaving(where.result(), asked.set, serving)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
