"""How many wrong passwords somebody may try: each failure is a debt of time, which passing time pays off.

Whoever owes little tries again at once; whoever owes more waits until the rest is little. Debts, unlike windows, forget
nothing at the turn of a minute, and failures that slipped in side by side are waited for afterwards.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from auth_service.domain.names import name_key

LONGEST_WAIT = timedelta(minutes=15)
"""However many failures came side by side."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The failures since nothing was owed, and when the debt will be paid off."""

    failures: int
    paid_off_at: datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """`at_once` failures are free of waiting, each owes a `pause`; every further one owes twice as long as the last.

    A debt never grows by more than `longest_pause` at a time: by `pause` itself, it is one try for each pause.
    """

    at_once: int
    pause: timedelta
    longest_pause: timedelta

    def next_at(self, tally: Tally) -> datetime:
        """When the next attempt is allowed."""
        return tally.paid_off_at - (self.at_once - 1) * self.pause

    def after_failure(self, tally: Tally | None, *, now: datetime) -> Tally:
        """`tally` with one failure more at `now`."""
        if tally is None or tally.paid_off_at <= now:
            tally = Tally(0, now)
        failures = tally.failures + 1
        doublings = min(max(0, failures - self.at_once), 16)
        owed = min(self.pause * 2**doublings, self.longest_pause)
        latest = now + LONGEST_WAIT + (self.at_once - 1) * self.pause
        return Tally(failures, min(tally.paid_off_at + owed, latest))


def greater(one: Tally | None, other: Tally | None) -> Tally | None:
    """Whichever is paid off later."""
    return max((each for each in (one, other) if each), key=lambda each: each.paid_off_at, default=None)


@dataclass(frozen=True, slots=True)
class Counter:
    """What an attempt counts for. `account` is whose the counter is; None for an address's."""

    key: bytes
    limit: Limit
    account: bytes | None = None


Known = Mapping[bytes, Tally]
"""Tallies by their keys, as far as a replica remembers them. Others may have added to them, or forgiven them."""


class Tallies(Protocol):
    """What is owed, by the counters' keys: what all replicas share. Raises DatabaseUnavailable.

    `known` counts only where nobody else can be asked what there was.
    """

    async def find(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Mapping[bytes, Tally | None]:
        """The tallies of `counters`; None for one that owes nothing."""
        ...

    async def add_failure(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Known:
        """The tallies of `counters`, with one failure more at `now` written down."""
        ...

    async def forget(self, account: bytes) -> None:
        """What is kept outside of the database. There it went in the transaction of what brought it about."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of failures on one account from one address, on one account from anywhere, and from one address on any account.

    The first is the tightest, so that one address alone never uses up what is left for the account's owner.
    """

    here: Limit
    account: Limit
    address: Limit


def limits(*, here: int, account: int, address: int) -> Limits:
    """With so many failures at once each; what follows is as decision 0014 has it.

    By default, on one account within five minutes: 6 from one address, 8 from everywhere.
    """
    minute = timedelta(minutes=1)
    return Limits(
        here=Limit(here, pause=minute, longest_pause=LONGEST_WAIT),
        account=Limit(account, pause=2.5 * minute, longest_pause=2.5 * minute),
        address=Limit(address, pause=minute / 10, longest_pause=minute / 10),
    )


def account_key(username: str) -> bytes:
    """Stands for an account, known or not; all spellings of a name have the same one, and no two names do.

    A digest, for people type their password where the name belongs, and what is counted is written down.
    """
    return _key("account", name_key(username))


def here_key(account: bytes, network: str) -> bytes:
    """Stands for an account as it is tried from one network."""
    return _key("here", account.hex(), network)


def address_key(network: str, *, kind: str) -> bytes:
    """Stands for a network, as it tries secrets of one kind: a service with an old key keeps nobody from signing in."""
    return _key("address", kind, network)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
