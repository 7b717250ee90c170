"""Limits in a real Valkey: the rule there is ours, keys end by themselves, and nobody waits for one that is gone."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from auth_service.domain import attempts as rules
from auth_service.domain.attempts import Counter, Limit, Tally, limits
from auth_service.domain.rates import Counted
from auth_service.providers.limits_in_valkey import LimitsInValkey
from auth_service.providers.valkey import Valkey, ValkeyAddress, ValkeyAway, ValkeyUnfit
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.service import captured_logs
from tests.support.tcp_proxy import Proxy
from tests.support.valkey import PASSWORD, ValkeyServer

NOW = datetime(2026, 11, 30, 12, 0, 0, 123457, UTC)
ACCOUNT = rules.account_key("ada")
LIMITS = limits(here=4, account=6, address=30)
LONG, SHORT = timedelta(seconds=10), timedelta(milliseconds=50)


@asynccontextmanager
async def limits_at(
    url: str, *, prefix: str = "", deadline: timedelta = LONG, **files: Path | None
) -> AsyncIterator[LimitsInValkey]:
    address = ValkeyAddress(url, **{name: str(path) if path else None for name, path in files.items()})
    found = LimitsInValkey(Valkey(address, deadline=deadline), prefix=prefix or f"test:{uuid4()}")
    yield found
    await found.close()


@pytest.fixture
async def shared(valkey: ValkeyServer) -> AsyncIterator[LimitsInValkey]:
    async with limits_at(valkey.url) as found:
        yield found


def client_of(server: ValkeyServer) -> Redis:
    """What an operator would look with."""
    return Redis(host="127.0.0.1", port=server.port, password=PASSWORD, protocol=2)


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with client_of(valkey) as client:
        yield client


def counters(address: str = "192.0.2.1") -> Sequence[Counter]:
    return (
        Counter(rules.here_key(ACCOUNT, address), LIMITS.here, ACCOUNT),
        Counter(ACCOUNT, LIMITS.account, ACCOUNT),
        Counter(rules.address_key(address, kind="password"), LIMITS.address),
    )


def counted(here: int, *, told: int = 0, key: bytes = b"a rate") -> Counted:
    return Counted(key, window=7, ends_at=NOW + timedelta(seconds=60), here=here, told=told)


async def told(shared: LimitsInValkey, *each: Counted) -> list[int]:
    totals: list[int] = []
    await shared.share(each, now=NOW, heard=lambda _, total: totals.append(total))
    return totals


@pytest.mark.row("E2", "E14")
@pytest.mark.parametrize("seed", range(12))
async def test_what_is_owed_there_is_what_our_rule_says(shared: LimitsInValkey, seed: int) -> None:
    random = Random(seed)
    pause = timedelta(microseconds=random.randint(1, 10**9))
    limit = Limit(random.randint(1, 9), pause, longest_pause=pause * random.choice([1, 3, 1000]))
    counter = Counter(random.randbytes(32), limit, random.choice([None, ACCOUNT]))
    now, ours = NOW, None

    for _ in range(40):
        now += random.choice([timedelta(0), pause / 3, pause * random.randint(0, 9), timedelta(minutes=20)])
        at_least = random.choice([None, None, Tally(random.randint(1, 9), now + random.randint(-2, 9) * pause)])
        if at_least and (ours is None or ours.paid_off_at < at_least.paid_off_at):
            ours = at_least
        ours = limit.after_failure(ours, now=now)

        theirs = await shared.add_failure_to({counter.key: at_least} if at_least else {}, [counter], now=now)

        assert theirs == {counter.key: ours}
        assert await shared.find([counter], now=now) == theirs


async def test_nothing_is_owed_where_nothing_failed_or_all_is_paid_off(shared: LimitsInValkey) -> None:
    assert await shared.find(counters(), now=NOW) == {each.key: None for each in counters()}

    await shared.add_failure_to({}, counters(), now=NOW)

    later = NOW + timedelta(hours=1)
    assert await shared.find(counters(), now=later) == {each.key: None for each in counters()}


@pytest.mark.row("E2")
async def test_an_account_is_forgotten_whole_and_an_address_is_not(shared: LimitsInValkey) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        await shared.add_failure_to({}, counters(address), now=NOW)

    await shared.forget(ACCOUNT)

    found = await shared.find([*counters("192.0.2.1"), *counters("192.0.2.2")], now=NOW)
    owing = {key for key, tally in found.items() if tally is not None}
    assert owing == {rules.address_key(address, kind="password") for address in ("192.0.2.1", "192.0.2.2")}


async def test_every_key_ends_by_itself_when_nothing_is_owed(
    shared: LimitsInValkey, client: Redis, valkey: ValkeyServer
) -> None:
    async with limits_at(valkey.url, prefix=(prefix := f"test:{uuid4()}")) as shared:
        [here, account, address] = (await shared.add_failure_to({}, counters(), now=NOW)).values()
        await told(shared, counted(5))

        keys = {key.decode(): await client.pttl(key) async for key in client.scan_iter(f"{prefix}:*")}

    latest = {
        f"{prefix}:owed:{ACCOUNT.hex()}": max(here.paid_off_at, account.paid_off_at),
        f"{prefix}:owed:{counters()[2].key.hex()}": address.paid_off_at,
        f"{prefix}:calls:{b'a rate'.hex()}:7": NOW + timedelta(seconds=60),
    }
    assert keys.keys() == latest.keys()
    for key, milliseconds in keys.items():
        assert 0 < milliseconds <= (latest[key] - NOW) / timedelta(milliseconds=1) + 1000


async def test_an_account_that_is_tried_for_ever_from_everywhere_takes_no_more_room(
    valkey: ValkeyServer, client: Redis
) -> None:
    async with limits_at(valkey.url, prefix=(prefix := f"test:{uuid4()}")) as shared:
        for number in range(300):
            await shared.add_failure_to({}, counters(f"192.0.2.{number}"), now=NOW + number * timedelta(minutes=2.5))

        assert await client.hlen(f"{prefix}:owed:{ACCOUNT.hex()}") <= 10


@pytest.mark.row("E14")
async def test_replicas_add_up_and_saying_it_twice_counts_once(valkey: ValkeyServer) -> None:
    prefix = f"test:{uuid4()}"
    async with limits_at(valkey.url, prefix=prefix) as one, limits_at(valkey.url, prefix=prefix) as other:
        assert await told(one, counted(5)) == [5]
        assert await told(other, counted(3)) == [8]
        # Whoever never heard the answer says it again.
        assert await told(one, counted(7), counted(7), counted(2, key=b"another")) == [10, 10, 2]


async def test_deployments_with_a_prefix_of_their_own_share_nothing(valkey: ValkeyServer) -> None:
    async with limits_at(valkey.url) as one, limits_at(valkey.url) as other:
        await one.add_failure_to({}, counters(), now=NOW)

        assert await other.find(counters(), now=NOW) == {each.key: None for each in counters()}


async def test_failures_at_the_same_time_are_all_counted(shared: LimitsInValkey) -> None:
    tallies = await asyncio.gather(*(shared.add_failure_to({}, counters(), now=NOW) for _ in range(50)))

    assert sorted(tally[ACCOUNT].failures for tally in tallies) == list(range(1, 51))


async def test_a_server_that_hangs_is_not_waited_for_and_answers_nobody_else_s_question(valkey: ValkeyServer) -> None:
    async with (
        Proxy("127.0.0.1", valkey.port) as proxy,
        limits_at(f"valkey://:{PASSWORD}@127.0.0.1:{proxy.port}", deadline=SHORT) as shared,
        limits_at(valkey.url) as straight,
    ):
        await straight.add_failure_to({}, counters(), now=NOW)
        await proxy.blackhole()

        outcomes = await asyncio.gather(
            *(shared.find(counters(), now=NOW) for _ in range(30)), shared.check(), return_exceptions=True
        )

        assert {type(each) for each in outcomes} == {ValkeyAway}
        await proxy.pass_through()
        for _ in range(30):
            assert set((await shared.find(counters(), now=NOW)).values()) == {None}
            assert await told(shared, counted(1)) == [1]


async def test_a_caller_that_goes_away_leaves_no_answer_behind_for_the_next(shared: LimitsInValkey) -> None:
    for number in range(100):
        call = asyncio.create_task(shared.find(counters(), now=NOW))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        assert await told(shared, counted(number)) == [number]


async def test_a_server_that_is_down_is_away_and_one_that_is_back_is_used() -> None:
    with ValkeyServer() as server:
        async with limits_at(server.url) as shared:
            assert await told(shared, counted(1)) == [1]
            server.stop()
            for _ in range(3):
                with pytest.raises(ValkeyAway):
                    await shared.ping()
            server.start()

            assert await told(shared, counted(2)) == [2]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("valkey://:another-password@127.0.0.1:{port}", "refuses the user name or the password"),
        ("valkey://nobody:another-password@127.0.0.1:{port}", "refuses the user name or the password"),
        ("valkey://127.0.0.1:{port}", "or asks for one"),
    ],
)
async def test_a_server_that_does_not_let_us_in_says_so_without_the_password(
    valkey: ValkeyServer, url: str, said: str
) -> None:
    async with limits_at(url.format(port=valkey.port)) as shared:
        with pytest.raises(ValkeyUnfit, match=said) as caught:
            await shared.check()

    assert "another-password" not in repr((caught.value, caught.value.__cause__))


async def test_a_user_with_the_rights_that_the_docs_list_is_enough_and_one_with_fewer_is_told(
    valkey: ValkeyServer, client: Redis
) -> None:
    documented = (Path(__file__).parents[2] / "docs/limits.md").read_text()
    [rights] = [line.split() for line in documented.splitlines() if line.startswith("user auth ")]
    enough = [each for each in rights if each.startswith("+")]
    await client.acl_setuser("auth", enabled=True, passwords=["+secret-of-auth"], keys=["test:*"], commands=enough)
    fewer = [each for each in enough if each != "+hset"]
    await client.acl_setuser("less", enabled=True, passwords=["+secret-of-less"], keys=["test:*"], commands=fewer)

    async with limits_at(f"valkey://auth:secret-of-auth@127.0.0.1:{valkey.port}") as shared:
        assert (await shared.check()).startswith(("Valkey ", "Redis "))
        await shared.add_failure_to({}, counters(), now=NOW)
        await shared.forget(ACCOUNT)
        assert await told(shared, counted(1)) == [1]
        await shared.ping()
    async with limits_at(f"valkey://less:secret-of-less@127.0.0.1:{valkey.port}") as shared:
        with pytest.raises(ValkeyUnfit, match="lets this user do too little"):
            await shared.check()


async def test_a_server_that_takes_no_writes_is_away_until_it_does() -> None:
    with ValkeyServer() as server:
        async with limits_at(server.url) as shared, client_of(server) as client:
            await client.slaveof("127.0.0.1", free_port())
            for asked in (shared.check(), told(shared, counted(1))):
                with pytest.raises(ValkeyAway, match="ReadOnlyError"):
                    await asked

            await client.slaveof()

            assert await told(shared, counted(1)) == [1]


async def test_a_server_that_may_forget_what_is_owed_is_told_of() -> None:
    with (
        ValkeyServer(maxmemory="100mb", maxmemory_policy="allkeys-lru") as forgetful,
        ValkeyServer(maxmemory="100mb") as good,
        captured_logs() as logs,
    ):
        for server in (forgetful, good):
            async with limits_at(server.url) as shared:
                await shared.check()

    assert [line["maxmemory_policy"] for line in logs.named("limits.may_be_forgotten")] == ["allkeys-lru"]


async def test_a_cluster_is_refused() -> None:
    with ValkeyServer(cluster_enabled="yes") as server:
        async with limits_at(server.url) as shared:
            with pytest.raises(ValkeyUnfit, match="no cluster"):
                await shared.check()


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ("redis_version:5.0.14", "expected Valkey 7.2 or Redis 6.2, or newer, got Redis 5.0.14"),
        ("redis_version:7.2.4\r\nvalkey_version:7.0.1", "expected Valkey 7.2 or Redis 6.2, or newer, got Valkey 7.0.1"),
        ("redis_version:6.2.1", "Redis 6.2.1"),
    ],
)
async def test_a_server_that_is_too_old_is_named(told: str, outcome: str) -> None:
    async with claims(told) as port, limits_at(f"redis://127.0.0.1:{port}") as shared:
        try:
            said = await shared.check()
        except ValkeyUnfit as error:
            said = str(error)

    assert said == outcome


async def test_tls_shows_who_the_server_is_or_gets_no_password(valkey: ValkeyServer, tmp_path: Path) -> None:
    authority = Authority("valkey")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "other.pem").write_bytes(Authority("another").pem)
    async with behind_tls(valkey, authority, tmp_path) as port:
        url = f"valkeys://:{PASSWORD}@localhost:{port}"
        async with limits_at(url, ca_file=tmp_path / "ca.pem") as shared:
            assert (await shared.check()).startswith(("Valkey ", "Redis "))
        for trusted in (None, tmp_path / "other.pem"):
            async with limits_at(url, ca_file=trusted) as shared:
                with pytest.raises(ValkeyUnfit, match="certificate"):
                    await shared.check()


async def test_a_server_that_asks_for_our_certificate_gets_it(valkey: ValkeyServer, tmp_path: Path) -> None:
    authority = Authority("valkey")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    certificate, key = tmp_path / "ours.pem", tmp_path / "ours-key.pem"
    authority.issue("auth").write(certificate, key)
    async with behind_tls(valkey, authority, tmp_path, asks=True) as port:
        url = f"valkeys://:{PASSWORD}@localhost:{port}"
        async with limits_at(url, ca_file=tmp_path / "ca.pem", certificate_file=certificate, key_file=key) as shared:
            await shared.check()
        async with limits_at(url, ca_file=tmp_path / "ca.pem") as shared:
            with pytest.raises(ValkeyAway):
                await shared.check()
        key.unlink()
        async with limits_at(url, ca_file=tmp_path / "ca.pem", certificate_file=certificate, key_file=key) as shared:
            with pytest.raises(ValkeyUnfit, match="certificates for it cannot be used"):
                await shared.check()


async def test_a_server_that_is_silent_behind_tls_holds_nobody_up(valkey: ValkeyServer, tmp_path: Path) -> None:
    authority = Authority("valkey")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    async with behind_tls(valkey, authority, tmp_path) as port, Proxy("127.0.0.1", port) as proxy:
        url = f"valkeys://:{PASSWORD}@localhost:{proxy.port}"
        async with limits_at(url, ca_file=tmp_path / "ca.pem", deadline=timedelta(seconds=1)) as shared:
            await shared.check()
            await proxy.blackhole()
            # It hangs up before it asks anew.
            with pytest.raises(ValkeyAway):
                await shared.check()
            await proxy.pass_through()
            await shared.check()
            await proxy.blackhole()


@asynccontextmanager
async def claims(told: str) -> AsyncIterator[int]:
    """A server that says this of itself, and takes everything else for done."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = [(await reader.readline(), await reader.readline())[1].strip() for _ in range(int(line[1:]))]
            answer = f"${len(told)}\r\n{told}\r\n" if words[0].upper() == b"INFO" else ":0\r\n"
            writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def behind_tls(
    server: ValkeyServer, authority: Authority, folder: Path, *, asks: bool = False
) -> AsyncIterator[int]:
    """The server's own TLS is not in the wheel."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    authority.issue("valkey.example").write(certificate, key)
    context.load_cert_chain(certificate, key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        assert this is not None
        serving.add(this)
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", server.port)
        with closing(writer), closing(their_writer):
            await asyncio.gather(_copied(reader, their_writer), _copied(their_reader, writer), return_exceptions=True)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65536):
        writer.write(some)
    writer.close()
