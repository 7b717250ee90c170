"""Calling other services over grpcio from threads, as somebody: signed in, and staying so."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

import grpc

from ..answers import ServiceToken, TokenPair
from ..errors import AuthError
from ..sign_in import Asks, Keeper, SignIn, no_token_in_time
from .client import Options, open_channel
from .interceptors import SignedIn


class Session:
    """Signs in when first needed and keeps an access token that is good: renewed ahead, once for all who wait.

    Share it between threads. `auth` is an AuthClient, which stays yours to close. There is no thread in the background:
    the first call in the last fifth of a token's life renews it, while the others go on.
    """

    def __init__(
        self, auth: Asks[TokenPair | ServiceToken], sign_in: SignIn, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._auth = auth
        self._keeper = Keeper(sign_in)
        self._clock = clock
        self._renewing = Lock()

    def token(self, *, within: float | None = None) -> str:
        """An access token for the next call. Raises SignInRefused, or AuthError if the service is away.

        Waits no longer than `within` seconds for another thread's renewal; one of its own is as long as `auth` takes.
        """
        now = self._clock()
        must_wait = self._keeper.usable(now) is None
        if self._keeper.is_due(now) and self._is_mine_to_renew(must_wait=must_wait, within=within):
            try:
                # Whoever had the lock before may have done it.
                if self._keeper.is_due(self._clock()):
                    self._renew()
            finally:
                self._renewing.release()
        return self._keeper.token(self._clock())

    @property
    def refresh_token(self) -> str:
        """The one that is good now, for whoever wants to go on with the session later, or to end it. "" if none."""
        return self._keeper.refresh_token

    def channel(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        options: Options = (),
    ) -> grpc.Channel:
        """A channel to another service, on which every call carries the token. Close it when done.

        Over TLS unless you say `plaintext=True`, which shows the token to whoever listens.
        A call whose token is refused is sent once more with a new one; one whose requests are a stream is not, for they
        are gone: it fails, and the next one has a new token. A unary call that was begun with `.future` is over when
        `.future` returns.
        """
        channel = open_channel(target, credentials=credentials, plaintext=plaintext, options=options)
        return grpc.intercept_channel(channel, SignedIn(self))

    def is_worth_repeating(self, error: AuthError, token: str) -> bool:
        """Whether a call made with `token`, and refused with `error`, may succeed with what `token()` gives now."""
        return self._keeper.is_worth_repeating(error, token, self._clock())

    def _is_mine_to_renew(self, *, must_wait: bool, within: float | None) -> bool:
        if not must_wait:
            return self._renewing.acquire(blocking=False)
        if not self._renewing.acquire(timeout=-1 if within is None else within):
            raise no_token_in_time()
        return True

    def _renew(self) -> None:
        asks_again = True
        while asks_again:
            try:
                self._keeper.brought(self._keeper.ask(self._auth), self._clock())
                return
            except AuthError as error:
                asks_again = self._keeper.failed(error, self._clock())
