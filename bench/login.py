"""`Login` through the stand-in facility answering at once, beside the sum of its floors.

The floors are an empty RPC, the three requests that a sign-in takes (`POST /v1/sessions`, then details and role side
by side) through aiohttp, one RSA-2048 signature and one `INSERT`; measured as in `refresh`, in a bare server.
"""

import asyncio
from collections.abc import Sequence
from itertools import count

from auth_api.v1 import auth_pb2

from bench import facility
from bench.figures import Figure
from bench.load import Call
from bench.service import Method, bare, stage
from bench.turns import against_floors

ROUNDS, CALLS = 7, 400


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage() as service:
        await service.local_login()
        async with bare(service) as floors:
            login, bare_login = logins(service.method("Login")), logins(floors.method("Login"))
            return await against_floors(
                "Login", service, login, floors, bare_login, rounds=ROUNDS, calls=CALLS, at_least=0.6
            )


def logins(method: Method) -> Call:
    """Signs in one of the facility's people, the next one each time."""
    numbers = count()

    async def login() -> None:
        request = auth_pb2.LoginRequest(username=facility.name(next(numbers)), password="right")
        await method(request.SerializeToString())

    return login
