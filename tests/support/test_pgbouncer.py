"""A real PgBouncer, and that it really pools by transaction."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.support.pgbouncer import PgBouncer, PgBouncerUnavailable, available
from tests.support.postgres import Postgres

needs_pgbouncer = pytest.mark.skipif(not available(), reason=available().reason)


@pytest.fixture(scope="module", params=[None, "s3cret"], ids=["trust", "scram"])
def pooled(request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    with Postgres(password=request.param) as postgres, PgBouncer(postgres, pool_size=2) as pgbouncer:
        yield pgbouncer


async def connect(pooled: PgBouncer) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(pooled.dsn(), statement_cache_size=0)


async def backend(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    # The simple protocol: a prepared statement may be prepared on one backend and executed on another.
    rows = await connection.fetch("select pg_backend_pid() as pid")
    return int(rows[0]["pid"])


@needs_pgbouncer
async def test_many_clients_share_few_backends_between_transactions(pooled: PgBouncer) -> None:
    clients = [await connect(pooled) for _ in range(6)]

    async def in_transaction(client: "asyncpg.Connection[asyncpg.Record]") -> int:
        async with client.transaction():
            return await backend(client)

    backends = await asyncio.gather(*(in_transaction(client) for client in clients))

    assert 1 <= len(set(backends)) <= 2
    for client in clients:
        await client.close()


@needs_pgbouncer
async def test_the_pooler_runs_without_root_and_starts_again_on_its_port(pooled: PgBouncer) -> None:
    before = pooled.pid
    uids = psutil.Process(before).uids()
    await asyncio.to_thread(pooled.stop)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(pooled.host, pooled.port)
    await asyncio.to_thread(pooled.start)

    client = await connect(pooled)
    assert await client.fetchval("select 1") == 1
    assert 0 not in uids
    assert pooled.pid != before
    await client.close()


def test_a_missing_binary_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_PGBOUNCER_BIN", str(tmp_path / "nothing"))

    assert not available()
    assert str(tmp_path / "nothing") in available().reason
    with Postgres() as postgres, pytest.raises(PgBouncerUnavailable, match="not a program"):
        PgBouncer(postgres)
    monkeypatch.delenv("TEST_PGBOUNCER_BIN")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert available() or "install it" in available().reason
