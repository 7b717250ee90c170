"""Limits are counted in Valkey, and Valkey hangs, dies and comes back: people sign in, and guessing stays slow."""

from collections import Counter
from functools import partial

import pytest
import sqlalchemy as sa

from auth_service.providers.valkey import ValkeyUnfit
from auth_service.storage import schema
from tests.rpc.conftest import Start, through_valkey
from tests.rpc.test_attempts import DEFAULTS, LATER, OWNER, RIGHT, WRONG, guesses, said
from tests.rpc.test_rate_limits import OK, logged_out
from tests.support.administering import PASSWORD as RIGHT_PASSWORD
from tests.support.administering import administrator, found
from tests.support.conditions import eventually
from tests.support.ports import free_port
from tests.support.service import Databases, Logs, Service
from tests.support.tcp_proxy import Proxy
from tests.support.valkey import PASSWORD, ValkeyServer

LATER_CALLS = "RATE_LIMITED"
STRANGER, AT_HOME = "192.0.2.66", "198.51.100.7"


@pytest.fixture
def server(valkey: ValkeyServer) -> ValkeyServer:
    """As other modules use it: left running."""
    return valkey


async def limited(start: Start, server: ValkeyServer, **changes: str) -> Service:
    settings = through_valkey(server) | DEFAULTS | {"limits_timeout": "200ms", "trusted_proxies": "127.0.0.1"}
    return await start(waits=True, **(settings | changes))


async def is_shared(service: Service) -> bool:
    return await service.metric("auth_limits_shared") == 1


@pytest.mark.usefixtures("one_minute")
@pytest.mark.row("E2", "E14")
async def test_two_services_that_share_nothing_else_count_together_there(
    start: Start, server: ValkeyServer, databases: Databases
) -> None:
    settings = through_valkey(server) | {"rate_limits": "Logout=10/m", "limits_timeout": "2s"}
    one = await limited(start, server, **settings)
    other = await limited(start, server, **settings, database_url=await databases.make("sqlite"))

    assert await guesses(one, [OWNER] * 4, address=STRANGER) == {WRONG: 4}
    # It hears of the others' when one of its own fails.
    assert await guesses(other, [OWNER] * 4, address=STRANGER) == {WRONG: 1, LATER: 3}
    assert await logged_out(one, 10) == {OK: 10}

    async def is_told() -> bool:
        return (await logged_out(other, 1))[LATER_CALLS] == 1

    await eventually(is_told)
    for service in (one, other):
        assert await found(service, sa.select(schema.failed_attempts)) == []
        assert await found(service, sa.select(schema.call_count)) == []


@pytest.mark.row("E2", "S47", "S51")
async def test_while_it_hangs_people_sign_in_and_guesses_are_counted_on(
    start: Start, server: ValkeyServer, logs: Logs
) -> None:
    service = await limited(start, server)
    logs.clear()
    assert await guesses(service, [OWNER] * 2, address=STRANGER) == {WRONG: 2}

    server.freeze()
    try:
        assert await guesses(service, [OWNER] * 20, address=STRANGER) == {WRONG: 2, LATER: 18}
        assert await said(service, OWNER, RIGHT, address=AT_HOME) is None
        assert not await is_shared(service)
    finally:
        server.thaw()

    assert [line["cause"] for line in logs.named("limits.away")] == ["it did not answer in time"]
    await eventually(partial(is_shared, service))
    assert len(logs.named("limits.back")) == 1
    # Neither going nor coming forgave anything.
    assert await guesses(service, [OWNER] * 20, address=STRANGER) == {LATER: 20}


@pytest.mark.row("E2")
async def test_while_it_is_away_replicas_count_together_through_the_database(
    start: Start, server: ValkeyServer
) -> None:
    async with Proxy("127.0.0.1", server.port) as proxy:
        url = {"limits_url": f"valkey://:{PASSWORD}@127.0.0.1:{proxy.port}", "limits_prefix": "test:away"}
        replicas = [await limited(start, server, **url) for _ in range(3)]
        await proxy.refuse()

        told = sum([await guesses(replica, [OWNER] * 10, address=STRANGER) for replica in replicas], Counter())

    # The first replica fills it; each other one finds out with a failure of its own.
    assert told == {WRONG: 4 + 2, LATER: 24}


@pytest.mark.row("E2")
async def test_flapping_buys_no_guesses(start: Start, server: ValkeyServer) -> None:
    async with Proxy("127.0.0.1", server.port) as proxy:
        service = await limited(start, server, limits_url=f"valkey://:{PASSWORD}@127.0.0.1:{proxy.port}")
        told: Counter[str] = Counter()
        for _ in range(3):
            await proxy.refuse()
            told += await guesses(service, [OWNER] * 2, address=STRANGER)
            await proxy.pass_through()
            await eventually(partial(is_shared, service))
            told += await guesses(service, [OWNER] * 2, address=STRANGER)

    assert told == {WRONG: 4, LATER: 8}


@pytest.mark.row("E2")
async def test_what_is_forgiven_while_it_is_away_is_forgiven_when_it_is_back(
    start: Start, server: ValkeyServer, logs: Logs
) -> None:
    async with Proxy("127.0.0.1", server.port) as proxy:
        service = await limited(start, server, limits_url=f"valkey://:{PASSWORD}@127.0.0.1:{proxy.port}")
        root = await administrator(service)
        ada = await root.create()
        assert await guesses(service, [ada.username] * 6, address=STRANGER) == {WRONG: 4, LATER: 2}
        logs.clear()
        await proxy.refuse()
        await eventually(lambda: bool(logs.named("limits.away")))

        await root.enable(ada.user_id)

        async def is_in() -> bool:
            return await said(service, ada.username, RIGHT_PASSWORD, address=STRANGER) is None

        await eventually(is_in)
        await proxy.pass_through()
        await eventually(partial(is_shared, service))
        assert await is_in()


@pytest.mark.usefixtures("one_minute")
async def test_rate_limits_hold_on_each_replica_while_it_is_away(start: Start, server: ValkeyServer) -> None:
    async with Proxy("127.0.0.1", server.port) as proxy:
        url = f"valkey://:{PASSWORD}@127.0.0.1:{proxy.port}"
        replicas = [await limited(start, server, limits_url=url, rate_limits="Logout=5/m") for _ in range(2)]
        await proxy.refuse()

        assert [await logged_out(replica, 8) for replica in replicas] == [{OK: 5, LATER_CALLS: 3}] * 2


async def test_it_starts_and_is_ready_without_its_valkey(start: Start, server: ValkeyServer, logs: Logs) -> None:
    logs.clear()

    service = await limited(start, server, limits_url=f"valkey://:{PASSWORD}@127.0.0.1:{free_port()}")

    assert len(logs.named("limits.away")) == 1
    assert await guesses(service, [OWNER] * 6) == {WRONG: 4, LATER: 2}


async def test_it_does_not_start_with_a_valkey_that_refuses_it(start: Start, server: ValkeyServer) -> None:
    with pytest.raises(ValkeyUnfit, match="AUTH_LIMITS_URL: the server refuses the user name or the password"):
        await limited(start, server, limits_url=f"valkey://:not-{PASSWORD}@127.0.0.1:{server.port}")


async def test_no_password_of_it_was_ever_logged(logs: Logs) -> None:
    assert logs.named("limits.away")
    assert PASSWORD not in logs.text
