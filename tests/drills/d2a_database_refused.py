"""D2a: PostgreSQL is stopped; connections are refused. See `database_away` for what must hold."""

import asyncio

from tests.drills.database_away import Fault, away
from tests.drills.report import Findings, alone
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import Proxy


async def drill(*, full: bool) -> list[Findings]:
    return await away("D2a database refused", Fault(_begin, _end), full=full)


async def _begin(postgres: Postgres, proxy: Proxy) -> None:
    await proxy.refuse()
    await asyncio.to_thread(postgres.stop)


async def _end(postgres: Postgres, proxy: Proxy) -> None:
    await asyncio.to_thread(postgres.start)
    await proxy.pass_through()


if __name__ == "__main__":
    alone("D2a", drill)
