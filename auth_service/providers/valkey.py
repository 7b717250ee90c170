"""One Valkey or Redis server: scripts that run there whole, each answered by a deadline or not at all.

Nothing is sent twice: who calls knows what a lost answer may mean. A connection whose answer was not waited for is
closed, so that no later call reads it.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.connection import AbstractConnection

log = structlog.get_logger()

PORT = 6379
CONNECTIONS = 8
"""Enough for a thousand failed attempts a second; who comes when all are taken waits for one within the deadline."""

OLDEST = {"valkey": (7, 2), "redis": (6, 2)}
"""Versions with ACLs, and the oldest that are told to work; Valkey's first was 7.2."""

_FORBIDDEN = re.compile("no permissions|can't run this command")
"""What servers of different ages say of a command within a script."""

WANTED_POLICY = "noeviction"


class ValkeyAway(Exception):
    """It did not answer in time, hung up, cannot be reached, or cannot do this now."""


class ValkeyUnfit(RuntimeError):
    """It answers, and will not do: the message says what is expected of it, or of the setting that names it."""


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where it is, and who asks. The files are PEM: of an authority, and of our certificate and its key."""

    url: str = field(repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    @property
    def has_tls(self) -> bool:
        return urlsplit(self.url).scheme in ("valkeys", "rediss")

    def context(self) -> ssl.SSLContext:
        """The files as they are now. Takes a while: for a thread. Raises OSError."""
        # Of the system's authorities only if none is given.
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context

    def options(self) -> dict[str, Any]:
        """As the client wants them."""
        parts = urlsplit(self.url)
        return {
            "host": parts.hostname,
            "port": parts.port or PORT,
            "db": int(parts.path.strip("/") or 0),
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
        }


class Valkey:
    """Connected when first asked. `deadline` is for each call, connecting and waiting for a connection included."""

    def __init__(self, address: ValkeyAddress, *, deadline: timedelta) -> None:
        self._address = address
        self._deadline = deadline.total_seconds()
        self._pool: BlockingConnectionPool | None = None
        self._client: Redis | None = None

    async def run(self, *scripts: "Call") -> list[Any]:
        """What each of `scripts` returned, in one round trip. Raises ValkeyAway, ValkeyUnfit."""
        client = await self._connected()
        async with _answered(self._deadline):
            pipeline = client.pipeline(transaction=False)
            for each in scripts:
                pipeline.eval(each.script, 1, each.key, *each.arguments)
            return list(await pipeline.execute())

    async def ping(self) -> None:
        """Raises ValkeyAway, ValkeyUnfit."""
        client = await self._connected()
        async with _answered(self._deadline):
            await client.ping()

    async def check(self, key: str) -> str:
        """What the server is, such as `Valkey 9.1.2`. Raises ValkeyAway, ValkeyUnfit.

        `key` is one that nothing else uses: whether we may do what we have to shows best by doing it. Connections are
        new ones, with the certificates that are there now.
        """
        await self.close()
        client = await self._connected()
        async with _answered(self._deadline):
            told = await client.info("server")
            memory = await client.info("memory")
        name, version = _version(told)
        if version < OLDEST[name.lower()]:
            raise ValkeyUnfit(f"expected Valkey 7.2 or Redis 6.2, or newer, got {name} {_dotted(version)}")
        if told.get("server_mode", told.get("redis_mode")) == "cluster":
            raise ValkeyUnfit("expected a server that is no cluster")
        await self.run(Call(_CHECK, key))
        policy = str(memory.get("maxmemory_policy", WANTED_POLICY))
        if memory.get("maxmemory") and policy != WANTED_POLICY:
            log.warning("limits.may_be_forgotten", maxmemory_policy=policy, expected=WANTED_POLICY)
        return f"{name} {_dotted(version)}"

    async def close(self) -> None:
        pool, self._pool, self._client = self._pool, None, None
        if pool is not None:
            # A server that is silent says no goodbye, which TLS waits for; the connections are given up all the same.
            with suppress(Exception):
                await pool.disconnect(inuse_connections=True)

    async def _connected(self) -> "Redis":
        """Raises ValkeyUnfit where the certificates cannot be read."""
        # Imported here: it is for those who have such a server.
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        if self._client is not None:
            return self._client
        connection_class = await _connection_class(self._address)
        if self._client is None:
            self._pool = BlockingConnectionPool(
                max_connections=CONNECTIONS,
                timeout=self._deadline,
                connection_class=connection_class,
                socket_timeout=self._deadline,
                socket_connect_timeout=self._deadline,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,
                **self._address.options(),
            )
            self._client = Redis(connection_pool=self._pool)
        return self._client


async def _connection_class(address: ValkeyAddress) -> "type[AbstractConnection]":
    from redis.asyncio import Connection, SSLConnection

    if not address.has_tls:
        return Connection
    try:
        context = await asyncio.to_thread(address.context)
    except OSError as error:
        raise ValkeyUnfit(f"the certificates for it cannot be used: {error}") from error

    class Secured(SSLConnection):
        """With a context that is there: its own would be made on the event loop, for each connection anew."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context.context = context

    return Secured


@dataclass(frozen=True, slots=True)
class Call:
    """A script and the one key that it is about."""

    script: str
    key: str
    arguments: Sequence[str | int] = ()


@asynccontextmanager
async def _answered(within: float) -> AsyncIterator[None]:
    """The deadline around a call, and what the client raises as what it means here."""
    from redis import exceptions

    try:
        async with asyncio.timeout(within):
            yield
    except (TimeoutError, exceptions.TimeoutError) as error:
        raise ValkeyAway("it did not answer in time") from error
    except exceptions.AuthenticationError as error:
        raise ValkeyUnfit("the server refuses the user name or the password, or asks for one") from error
    except exceptions.MovedError as error:
        raise ValkeyUnfit("expected a server that is no cluster") from error
    except (exceptions.ConnectionError, OSError) as error:
        if isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError):
            raise ValkeyUnfit("the server's certificate is not of an authority that we trust, or of another") from error
        raise ValkeyAway(str(error) or type(error).__name__) from error
    except exceptions.RedisError as error:
        if isinstance(error, exceptions.NoPermissionError) or _FORBIDDEN.search(str(error)):
            raise ValkeyUnfit("the server lets this user do too little: docs/limits.md has what it takes") from error
        # Not in its own words: they repeat what it was sent.
        raise ValkeyAway(type(error).__name__) from error


_CHECK = """
redis.call('HSET', KEYS[1], 'checked', '1')
redis.call('PEXPIRE', KEYS[1], 1000)
return #redis.call('HVALS', KEYS[1]) + #redis.call('HGETALL', KEYS[1]) + redis.call('HDEL', KEYS[1], 'checked')
  + #redis.call('HMGET', KEYS[1], 'checked') + redis.call('DEL', KEYS[1])
"""


def _version(told: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    # Valkey tells a Redis version as well, for clients that know no other.
    name, text = ("Valkey", told["valkey_version"]) if "valkey_version" in told else ("Redis", told["redis_version"])
    return name, tuple(int(part) for part in re.findall(r"\d+", str(text))[:3])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
