"""Passwords and other secrets that somebody tries: counted, so that guessing is slow (docs/decisions/0014).

Where nothing failed lately an attempt costs no statement. A failure is written down before it is answered, and of
several attempts on one account one at a time is made: only its outcome tells whether there may be another.
"""

import asyncio
import hmac
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import structlog

from auth_service.domain import attempts as rules
from auth_service.domain.addresses import network_of
from auth_service.domain.attempts import Counter, Known, Limits, Tallies, Tally
from auth_service.domain.errors import Overloaded, TooManyAttempts, Unauthenticated, Unavailable
from auth_service.domain.names import folded
from auth_service.storage import attempts
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.sweeping import swept

K = TypeVar("K")
V = TypeVar("V")
log = structlog.get_logger()

REMEMBERED = 100_000
"""Tallies in a replica's memory. Of an older one it learns again when the next attempt fails."""

BELIEVED_FOR = timedelta(seconds=1)
"""How long memory alone refuses: another replica, or an operator, may have forgiven."""

SHORTEST_WAIT = timedelta(seconds=1)

APART = timedelta(milliseconds=4)
"""How far apart those go on who waited for the same right password: as far as a crowd of sign-ins begins."""


class Attempts:
    """`async with (await attempts.on_account(name, address=…)).counted(password):` around finding out."""

    def __init__(self, database: Database, *, tallies: Tallies, limits: Limits, clock: DatabaseClock) -> None:
        self._database = database
        self._shared = tallies
        self._limits = limits
        self._clock = clock
        self._tallies = _Recent[bytes, Tally | None]()
        self._homes = _Recent[bytes, bool]()
        self._owners = _Recent[bytes, str]()
        self._judged_in_part = _Recent[bytes, bytes]()
        self._mac_key = os.urandom(32)
        self.under_way: dict[bytes, UnderWay] = {}

    async def on_account(self, username: str, *, address: str) -> "Attempt":
        """An attempt on the account of this name or mail address, known or not.

        Raises TooManyAttempts, DatabaseUnavailable.
        """
        account, name, network = rules.account_key(username), username, network_of(address)
        if (owner := self._owners.get(account)) is not None:
            account, name = rules.account_key(owner), owner
        return await self._allowed(Attempt(self, self._counters(account, network), network, name, account))

    async def from_address(self, address: str, *, kind: str) -> "Attempt":
        """As `on_account`, for secrets of a `kind` that names no account, such as a mailed token."""
        network = network_of(address)
        counter = Counter(rules.address_key(network, kind=kind), self._limits.address)
        return await self._allowed(Attempt(self, (counter,), network))

    async def forget(self, username: str) -> None:
        """What failed on this account and is kept outside of the database, once a step has forgotten what is in it."""
        await self._shared.forget(rules.account_key(username))

    async def sweep(self) -> int:
        """Delete the database's tallies that are paid off; how many."""
        now = self._clock.now()
        return await swept(self._database, lambda connection, most: attempts.sweep(connection, before=now, most=most))

    async def check(self, attempt: "Attempt") -> None:
        """Raises TooManyAttempts, DatabaseUnavailable."""
        now = self._clock.now()
        refusing = self._refusing(attempt.counters, now)
        if not refusing:
            return
        if stale := [each for each in refusing if not self._tallies.is_fresh(each.key, now)]:
            await self._read(stale, now)
            refusing = self._refusing(attempt.counters, now)
        if any(each.key == attempt.account for each in refusing) and await self._is_home(attempt, now):
            # The owner has signed in from here before, and is not kept out by what strangers do elsewhere.
            refusing = {each: at for each, at in refusing.items() if each.key != attempt.account}
        if refusing:
            wait = max(refusing.values()) - now
            log.info("attempts.refused", address=attempt.network, seconds=round(wait.total_seconds()))
            raise TooManyAttempts(retry_after=max(wait, SHORTEST_WAIT))

    async def failed(self, attempt: "Attempt") -> None:
        """Write down that it was wrong. Raises DatabaseUnavailable."""
        now, counters = self._clock.now(), attempt.counters
        if attempt.account is not None and (owner := await self._owner_of_address(attempt.name)) is not None:
            self._owners.put(attempt.account, owner)
            counters = self._counters(rules.account_key(owner), attempt.network)
        tallies = await self._shared.add_failure(counters, known=self._known(counters), now=now)
        for key, tally in tallies.items():
            self._tallies.put(key, tally)

    async def failed_in_part(self, attempt: "Attempt", secret: str) -> None:
        """As `failed`, where somebody who could not be asked might have said otherwise.

        Whoever brings the same secret once more learns nothing new, and it counts once: people try again while they
        wait.
        """
        here = attempt.counters[0].key
        guess = hmac.digest(self._mac_key, here + secret.encode(), "sha256")
        if self._judged_in_part.get(here) != guess:
            await self.failed(attempt)
            self._judged_in_part.put(here, guess)

    async def _allowed(self, attempt: "Attempt") -> "Attempt":
        await self.check(attempt)
        return attempt

    def _counters(self, account: bytes, network: str) -> tuple[Counter, ...]:
        return (
            Counter(rules.here_key(account, network), self._limits.here, account),
            Counter(account, self._limits.account, account),
            Counter(rules.address_key(network, kind="password"), self._limits.address),
        )

    def _refusing(self, counters: Iterable[Counter], now: datetime) -> dict[Counter, datetime]:
        """The counters that refuse an attempt at `now`, and until when."""
        found = {}
        for each in counters:
            tally = self._tallies.get(each.key)
            if tally is not None and (at := each.limit.next_at(tally)) > now:
                found[each] = at
        return found

    async def _read(self, counters: Sequence[Counter], now: datetime) -> None:
        found = await self._shared.find(counters, known=self._known(counters), now=now)
        for key, tally in found.items():
            self._tallies.put(key, tally, read_at=now)

    def _known(self, counters: Sequence[Counter]) -> Known:
        return {each.key: tally for each in counters if (tally := self._tallies.get(each.key)) is not None}

    async def _owner_of_address(self, name: str) -> str | None:
        if "@" not in folded(name):
            return None
        return await self._database.autocommit(lambda connection: attempts.owner_of_address(connection, name))

    async def _is_home(self, attempt: "Attempt", now: datetime) -> bool:
        here = attempt.counters[0].key
        if not self._homes.is_fresh(here, now):
            addresses = await self._database.autocommit(
                lambda connection: attempts.addresses_of(connection, attempt.name)
            )
            self._homes.put(here, attempt.network in map(network_of, addresses), read_at=now)
        return bool(self._homes.get(here))


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An attempt whose outcome others wait for: whether the secret was right, why nobody knows, or None."""

    secret: str = field(repr=False)
    outcome: "asyncio.Future[bool | Unavailable | Overloaded | None]"
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that may be made, as far as is known so far. `counted` is for making it."""

    attempts: Attempts = field(repr=False)
    counters: tuple[Counter, ...]
    network: str
    name: str = field(default="", repr=False)
    account: bytes | None = None

    @asynccontextmanager
    async def counted(self, secret: str = "") -> AsyncIterator[None]:
        """Around finding out whether `secret` is right: Unauthenticated says that it is not.

        Raises TooManyAttempts, DatabaseUnavailable, and what is raised inside.
        """
        # Once more: others may have failed while this one waited for its turn.
        await self.attempts.check(self)
        if self.account is None or await self._was_shown_right(secret, self.account):
            async with self._counted():
                yield
            return
        here = UnderWay(secret, asyncio.get_running_loop().create_future())
        self.attempts.under_way[self.account] = here
        outcome: bool | Unavailable | Overloaded | None = None
        try:
            async with self._counted():
                yield
            outcome = True
        except Unauthenticated:
            outcome = False
            raise
        except (Unavailable, Overloaded) as error:
            outcome = error
            raise
        finally:
            del self.attempts.under_way[self.account]
            here.outcome.set_result(outcome)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        try:
            yield
        except Unauthenticated:
            await self.attempts.failed(self)
            raise

    async def _was_shown_right(self, secret: str, account: bytes) -> bool:
        """Waits for its turn; True without one if the same secret was right while we waited.

        Raises TooManyAttempts; and, where the same secret could not be judged a moment ago, Unavailable or Overloaded.
        """
        while (under_way := self.attempts.under_way.get(account)) is not None:
            async with under_way.queue:
                outcome = await asyncio.shield(under_way.outcome)
                if hmac.compare_digest(under_way.secret.encode(), secret.encode()):
                    if isinstance(outcome, Unavailable | Overloaded):
                        raise outcome.with_traceback(None)
                    if outcome:
                        # A crowd that went on in one turn of the loop would keep everybody else waiting.
                        await asyncio.sleep(APART.total_seconds())
                        return True
            await self.attempts.check(self)
        return False


class _Recent(Generic[K, V]):
    """The values that were put last, at most REMEMBERED of them, and when each was read from the database."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, tuple[V, datetime | None]] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        return found[0] if found is not None else None

    def put(self, key: K, value: V, *, read_at: datetime | None = None) -> None:
        self._values[key] = (value, read_at)
        self._values.move_to_end(key)
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)

    def is_fresh(self, key: K, now: datetime) -> bool:
        found = self._values.get(key)
        return found is not None and found[1] is not None and now - found[1] < BELIEVED_FOR
