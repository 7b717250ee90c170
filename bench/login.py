"""`Login` through the stand-in facility answering at once, beside the sum of its floors.

The floors: an empty RPC, the three requests that a sign-in takes (`POST /v1/sessions`, then details and role side by
side) through bare aiohttp, one RSA-2048 signature in line, one `INSERT` through asyncpg without a pool; all of them,
and `Login`, 32 in flight. What is compared is processor time, as in `refresh`.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import count, repeat
from uuid import UUID, uuid4

import aiohttp
from auth_api.v1 import auth_pb2

from bench import facility
from bench.figures import Figure, ratios
from bench.floors import bare_connections, floor, signing
from bench.load import Call, cost
from bench.service import Stage, stage

ROUNDS, CALLS = 7, 400
FLOORS = ("empty RPC", "facility", "signature", "insert")


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with (
        stage() as service,
        bare_connections(service.dsn) as asked,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http,
    ):
        pid = service.process.pid
        login = logins(service)
        empty = partial(service.method("GetServerInfo"), b"")
        sign = signing()
        upstream = _requests(http, service.facility_url)
        session = UUID((await service.local_login()).session_id)
        insert = asked(lambda connection: connection.execute(_INSERT, uuid4(), session))
        made = {name: [] for name in ("login", *FLOORS)}
        for is_warm in (False, *[True] * ROUNDS):
            costs = {
                "login": await cost(repeat(login, CALLS), pid=pid),
                "empty RPC": await cost(repeat(empty, CALLS), pid=pid),
                "facility": await floor(upstream, CALLS),
                "signature": await floor(sign, CALLS),
                "insert": await floor(insert, CALLS),
            }
            for name, each in costs.items() if is_warm else ():
                made[name].append(each)
    cpu = {name: tuple(each.cpu for each in costs) for name, costs in made.items()}
    floors = [sum(each) for each in zip(*(cpu[name] for name in FLOORS), strict=True)]
    wall = {f"{name}, wall": tuple(each.wall for each in costs) for name, costs in made.items()}
    return (Figure("Login : sum of its floors", ratios(floors, cpu["login"]), at_least=0.6, raw={**cpu, **wall}),)


_INSERT = """
INSERT INTO session (id, person_id, generation, started_at, rotated_at, expires_at, absolute_expires_at)
SELECT $1, person_id, 1, started_at, rotated_at, expires_at, absolute_expires_at FROM session WHERE id = $2
"""


def logins(service: Stage) -> Call:
    """Signs in one of the facility's people, the next one each time."""
    method, numbers = service.method("Login"), count()

    async def login() -> None:
        request = auth_pb2.LoginRequest(username=facility.name(next(numbers)), password="right")
        await method(request.SerializeToString())

    return login


def _requests(http: aiohttp.ClientSession, url: str) -> Call:
    numbers = count()
    authorised = {"Authorization": f"Api-key {facility.API_KEY}"}

    async def get(path: str) -> object:
        async with http.get(url + path, headers=authorised) as response:
            return await response.json()

    async def sign_in() -> None:
        credentials = {"username": facility.name(next(numbers)), "password": "right"}
        async with http.post(f"{url}/v1/sessions", json=credentials) as response:
            number = (await response.json())["userId"]
        await asyncio.gather(get(f"/v1/basic-person-details?userNumbers={number}"), get(f"/v1/role/{number}"))

    return sign_in
