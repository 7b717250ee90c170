"""D2b: every process of PostgreSQL is stopped with SIGSTOP; its kernel still accepts connections.

What was sent is still read, and carried out, when it thaws. See `database_away` for what must hold.
"""

import asyncio

from tests.drills.database_away import Fault, away
from tests.drills.report import Findings, alone
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import Proxy


async def drill(*, full: bool) -> list[Findings]:
    return await away("D2b database frozen", Fault(_begin, _end), full=full)


async def _begin(postgres: Postgres, _: Proxy) -> None:
    await asyncio.to_thread(postgres.freeze)


async def _end(postgres: Postgres, _: Proxy) -> None:
    await asyncio.to_thread(postgres.thaw)


if __name__ == "__main__":
    alone("D2b", drill)
