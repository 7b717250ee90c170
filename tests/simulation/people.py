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
from auth_service.storage import schema
from auth_service.usecases.issuing import TokenPair as Pair
from tests.simulation.database import BEGINNING
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
        self._asking: dict[str, set[Replica]] = {}
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
                        self._asking.pop(refresh_token, None)
                        self.is_robbed = False
                    raise
                await asyncio.sleep(wait)
            else:
                self.spent.append(refresh_token)
                self._asking.pop(refresh_token, None)
                return _answer(pair, self)
        raise AssertionError("unreachable")

    async def _refreshed(self, refresh_token: str) -> Pair:
        at = self._replica()
        self._asking.setdefault(refresh_token, set()).add(at)
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

    def absence(self, refresh_token: str, *, since: float) -> float:
        """For how long the token could not be spent, where that is known to the replica that judges it."""
        asked = self._asking.get(refresh_token, set())
        if len(asked) != 1:
            return 0.0
        (only,) = asked
        return self.world.absence(self.world.node_of(only), since=since)

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
                _judge_suspicion(world, at, refresh_token, by)
            raise
        world.record.bought(refresh_token, pair.refresh_token)
        return pair

    return answer


def _judge_suspicion(world: "World", at: Replica, refresh_token: str, by: Person) -> None:
    spent = at.refresh_tokens.read(refresh_token)
    (row,) = world.server.look(sa.select(schema.session.c.rotated_at).where(schema.session.c.id == spent.session_id))
    since_spent = world.server.now(world.now) - row["rotated_at"]
    spent_at = (row["rotated_at"] - BEGINNING - world.server.ahead).total_seconds()
    absence = timedelta(seconds=by.absence(refresh_token, since=spent_at))
    if absence > WAITS_AT_MOST:
        return
    world.record.taken_for_a_thief(
        since_spent=since_spent,
        absence=absence,
        window=SESSION_POLICY.replay_window,
        slack=SLACK_AFTER_AN_ABSENCE if absence else SLACK,
    )


def _answer(pair: Pair, person: Person) -> TokenPair:
    person.renewed_at, person.access_token = person.world.now, pair.access_token
    return TokenPair(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in,
        refresh_expires_in=pair.refresh_expires_in,
        session_id=str(pair.session_id),
    )
