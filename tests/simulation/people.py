"""Honest people, whose sessions our client library keeps, and what others do with the tokens that they leave about."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from auth_client import calls
from auth_client.answers import ServiceToken, TokenPair
from auth_client.async_session import AsyncSession
from auth_client.errors import AuthError, Code, SignInRefused
from auth_client.sign_in import Password

from auth_service.domain.audit import Origin
from auth_service.domain.errors import RefreshTokenReused
from auth_service.domain.refresh_tokens import SpentGeneration
from auth_service.storage import schema
from auth_service.storage.database import Row
from auth_service.usecases.issuing import TokenPair as Pair
from auth_service.usecases.presence import LONGEST_ABSENCE
from tests.simulation.database import BEGINNING
from tests.simulation.promises import LATE
from tests.simulation.replicas import SESSION_POLICY, Replica

if TYPE_CHECKING:
    from tests.simulation.world import World

PERSISTS_FOR = 360.0
"""Seconds that somebody goes on asking for, at short intervals, while the service is away."""
BETWEEN_TURNS = 6.0
"""Seconds between two renewals that somebody wants: more than any call of the one before may still be under way."""
WAITS_AT_MOST = timedelta(minutes=4)
"""Of the service's patience with an absence of its database, which is five minutes."""
SLACK, SLACK_AFTER_AN_ABSENCE = timedelta(seconds=4), timedelta(seconds=7)
"""For calls under way, jumps of the database's clock, and until an absence is noticed."""


class Person:
    """Signs in, keeps the session, and renews it through whichever replica is ready: the same for as long as it is."""

    def __init__(self, world: "World", name: str) -> None:
        self.name = name
        self.world = world
        self.session = self._new_session()
        self.spent: list[str] = []
        """Refresh tokens that bought others: what a thief may find."""
        self.is_robbed = False
        self.access_token = ""
        self.renewed_at = float("-inf")
        self._home: Replica | None = None
        self._asking: set[str] = set()
        self._busy: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Has a session, and nothing under way that might go on with it."""
        is_asking = self._busy is not None and not self._busy.done()
        is_resting = self.world.now >= self.renewed_at + BETWEEN_TURNS
        return bool(self.session.refresh_token) and not is_asking and is_resting and not self._asking

    def wants_token(self) -> None:
        """In the background, until there is one or it is hopeless."""
        if self._busy is None or self._busy.done():
            self._busy = self.world.outside.spawn(self._persist())

    def wants_new_token(self) -> None:
        """As when another service has refused the one in hand."""
        if self.world.now < self.renewed_at + BETWEEN_TURNS:
            return
        self.session.is_worth_repeating(AuthError(Code.UNAUTHENTICATED, "TOKEN_EXPIRED", ""), self.access_token)
        self.wants_token()

    def goes_to(self, replica: Replica) -> None:
        """Whatever the load balancer had in mind."""
        self._home = replica

    async def log_out(self) -> None:
        token, self.session = self.session.refresh_token, self._new_session()
        self.is_robbed = False
        if token:
            at = self._replica()
            await self.world.call(at, lambda: at.sessions.logout(token))

    async def login(self, username: str, password: str) -> TokenPair:
        at = self._replica()
        return _answer(
            await self.world.call(at, lambda: at.sign_in.login(username=username, password=password, origin=Origin())),
            self,
        )

    async def login_service(self, api_key: str) -> ServiceToken:
        raise NotImplementedError("people have no API keys")

    async def refresh(self, refresh_token: str) -> TokenPair:
        """As AuthClient does it: a call whose answer was lost is repeated at once, within its deadline."""
        call, loop = calls.refresh(refresh_token), asyncio.get_running_loop()
        ends = loop.time() + call.deadline.total_seconds()
        for attempt in count(1):
            try:
                pair = await self._refreshed(refresh_token)
            except AuthError as failure:
                wait = calls.pause(call, failure, attempt=attempt, left=ends - loop.time())
                if wait is None:
                    if failure.code is Code.UNAUTHENTICATED:
                        # The session is over; the next one is another.
                        self._asking.discard(refresh_token)
                        self.is_robbed = False
                    raise
                await asyncio.sleep(wait)
            else:
                self.spent.append(refresh_token)
                self._asking.discard(refresh_token)
                return _answer(pair, self)
        raise AssertionError("unreachable")

    async def _refreshed(self, refresh_token: str) -> Pair:
        at = self._replica()
        self._asking.add(refresh_token)
        return await self.world.call(at, refreshing(self.world, at, refresh_token, by=self))

    async def _persist(self) -> None:
        gives_up_at = self.world.now + PERSISTS_FOR
        while self.world.now < gives_up_at:
            try:
                await self.session.token()
            except SignInRefused:
                self.session = self._new_session()
            except AuthError:
                pass
            else:
                return
            await asyncio.sleep(self.world.random.uniform(0.4, 1.4))

    def _replica(self) -> Replica:
        """Raises AuthError."""
        if self._home is None or not self._home.is_ready:
            # One that lost its database for longer than a lease goes on being asked while nobody is better.
            if self.world.ready:
                self._home = self.world.random.choice(self.world.ready)
            elif self._home is None or self._home.process.is_dead:
                raise AuthError(Code.UNAVAILABLE, "", "no replica is ready")
        return self._home

    def _new_session(self) -> AsyncSession:
        return AsyncSession(self, Password(self.name, "right"), clock=self.world.loop.time)


def refreshing(
    world: "World", at: Replica, refresh_token: str, *, by: Person | None = None
) -> Callable[[], Coroutine[Any, Any, Pair]]:
    """Within the replica, so that an answer that is lost counts as well. `by` is None for a thief."""

    async def answer() -> Pair:
        try:
            pair = await at.sessions.refresh(refresh_token)
        except RefreshTokenReused:
            if by is not None and not by.is_robbed:
                _judge_suspicion(world, at, refresh_token)
            raise
        world.record.bought(refresh_token, pair.refresh_token)
        _judge_patience(world, at, refresh_token)
        return pair

    return answer


def _judge_patience(world: "World", at: Replica, refresh_token: str) -> None:
    """Whether the token was spent a moment ago: now, or before somebody lost the answer."""
    spent, row = _as_it_is(world, at, refresh_token)
    if row["generation"] != spent.generation + 1:
        return
    since_spent = world.server.now(world.now) - row["rotated_at"]
    window, how = SESSION_POLICY.replay_window + SLACK, "when nothing was wrong"
    if world.calm_for < (since_spent + LATE).total_seconds():
        window, how = window + LONGEST_ABSENCE, "whatever was wrong"
    world.record.bought_again(since_spent=since_spent, window=window, how=how)


def _judge_suspicion(world: "World", at: Replica, refresh_token: str) -> None:
    spent, row = _as_it_is(world, at, refresh_token)
    since_spent = world.server.now(world.now) - row["rotated_at"]
    spent_at = (row["rotated_at"] - BEGINNING - world.server.ahead).total_seconds()
    spender = world.spender(spent.session_id, spent.generation)
    absence = timedelta(seconds=world.absence(at, spender, since=spent_at))
    if absence > WAITS_AT_MOST:
        return
    world.record.taken_for_a_thief(
        since_spent=since_spent,
        absence=absence,
        window=SESSION_POLICY.replay_window,
        slack=SLACK_AFTER_AN_ABSENCE if absence else SLACK,
    )


def _as_it_is(world: "World", at: Replica, refresh_token: str) -> tuple[SpentGeneration, Row]:
    """The token, and its session in the database."""
    spent, columns = at.refresh_tokens.read(refresh_token), schema.session.c
    (row,) = world.server.look(sa.select(columns.generation, columns.rotated_at).where(columns.id == spent.session_id))
    return spent, row


def _answer(pair: Pair, person: Person) -> TokenPair:
    person.renewed_at, person.access_token = person.world.now, pair.access_token
    return TokenPair(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in,
        refresh_expires_in=pair.refresh_expires_in,
        session_id=str(pair.session_id),
    )
