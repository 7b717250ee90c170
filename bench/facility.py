"""`python -m bench.facility PORT`: the stand-in facility in a process of its own, at once and with enough people."""

import asyncio
import sys

from auth_service.demo.facility import running_facility

API_KEY = "bench-uows-key"
PEOPLE = 256
"""So many that two sign-ins of one person seldom meet."""


def name(number: int) -> str:
    return f"person{number % PEOPLE}"


async def _serve(port: int) -> None:
    async with running_facility(port=port, uows_api_key=API_KEY) as facility:
        for number in range(PEOPLE):
            facility.knows(name(number), "right", number=10_000 + number)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
