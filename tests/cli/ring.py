"""The ring that commands about keys find, as a service would have made and seen it."""

import asyncio

from auth_service import app
from auth_service import settings as settings_module
from auth_service.domain.audit import OPERATOR
from auth_service.domain.consumers import Sighting
from auth_service.storage import key_consumers


def begin(rotations: int = 0) -> None:
    """Make the first ring, as `serve` does, and rotate it."""

    async def tick() -> None:
        async with app.core(settings_module.load()[0]) as core:
            await core.keys.tick()
            for _ in range(rotations):
                await core.keys.rotate(origin=OPERATOR)

    asyncio.run(tick())


def note(consumer: Sighting) -> None:
    """As a service notes whoever takes the key set."""

    async def add() -> None:
        async with app.core(settings_module.load()[0]) as core:
            await core.database.autocommit(lambda connection: key_consumers.add(connection, [consumer]))

    asyncio.run(add())
