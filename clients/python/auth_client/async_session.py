"""The part of a session that both asyncio stacks share: one renewal at a time, for all who wait."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Self

from .answers import ServiceToken, TokenPair
from .errors import AuthError
from .sign_in import Asks, Keeper, SignIn, no_token_in_time


class AsyncSession:
    """Signs in when first needed and keeps an access token that is good: renewed ahead, once for all who wait.

    Use it in one event loop. `auth` is an AuthClient, which stays yours to close. `clock` must never jump.
    """

    def __init__(
        self,
        auth: Asks[Awaitable[TokenPair | ServiceToken]],
        sign_in: SignIn,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._auth = auth
        self._keeper = Keeper(sign_in)
        self._clock = clock
        self._renewing: asyncio.Task[None] | None = None

    async def token(self, *, within: float | None = None) -> str:
        """An access token for the next call. Raises SignInRefused, or AuthError if the service is away.

        Waits for it no longer than `within` seconds; the renewal goes on.
        """
        now = self._clock()
        if self._keeper.is_due(now) and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew())
        if self._renewing is not None and self._keeper.usable(now) is None:
            # `wait`, because a caller that gives up must not take the others' token away.
            await asyncio.wait((self._renewing,), timeout=within)
            if not self._renewing.done():
                raise no_token_in_time()
            if not self._renewing.cancelled():
                self._renewing.result()
        return self._keeper.token(self._clock())

    @property
    def refresh_token(self) -> str:
        """The one that is good now, for whoever wants to go on with the session later, or to end it. "" if none."""
        return self._keeper.refresh_token

    def is_worth_repeating(self, error: AuthError, token: str) -> bool:
        """Whether a call made with `token`, and refused with `error`, may succeed with what `token()` gives now."""
        return self._keeper.is_worth_repeating(error, token, self._clock())

    async def close(self) -> None:
        """Stop renewing. Does not end the session: see AuthClient.logout."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _renew(self) -> None:
        asks_again = True
        while asks_again:
            try:
                self._keeper.brought(await self._keeper.ask(self._auth), self._clock())
                return
            except AuthError as error:
                asks_again = self._keeper.failed(error, self._clock())
