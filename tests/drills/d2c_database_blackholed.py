"""D2c: the network drops every byte to and from PostgreSQL; sockets stay open. See `database_away`."""

from tests.drills.database_away import Fault, away
from tests.drills.report import Findings, alone
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import Proxy


async def drill(*, full: bool) -> list[Findings]:
    return await away("D2c database blackholed", Fault(_begin, _end), full=full)


async def _begin(_: Postgres, proxy: Proxy) -> None:
    await proxy.blackhole()


async def _end(_: Postgres, proxy: Proxy) -> None:
    await proxy.pass_through()


if __name__ == "__main__":
    alone("D2c", drill)
