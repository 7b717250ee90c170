"""Checking tokens in this process: no network hop, and none in sight while the signing key is known."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .checking import check
from .claims import Rules, check_time
from .errors import KeysUnavailable, TokenInvalid, TokenRefused, TokenRevoked
from .hooks import tell
from .keys import KeySet
from .sources import KeySource, Revocations
from .token import VerifiedToken

_LONGEST_LEEWAY = timedelta(minutes=5)
_CURABLE = frozenset({"unknown_key", KeysUnavailable.reason})


class TokenVerifier:
    """Says what an access token says, or why it must not be believed. Safe to share between threads.

    `audience=None`, spelled out, takes tokens meant for anybody. `is_revoked` is asked on every call, also when the
    token is remembered; what it raises passes through, so a check that fails lets nobody in. So is a key source that
    knows of revocations, such as TrustStream.
    `cache_size` is how many verified tokens to remember; a remembered token costs a thirtieth of a fresh one.
    `on_verdict` hears of each call, for metrics: "good", a TokenRefused's reason or "keys_unavailable".
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | None,
        keys: KeySource,
        is_revoked: Callable[[VerifiedToken], bool] | None = None,
        leeway: timedelta = timedelta(seconds=60),
        cache_size: int = 0,
        on_verdict: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not issuer or audience == "":
            raise ValueError("issuer and audience must not be empty")
        if not timedelta(0) <= leeway <= _LONGEST_LEEWAY:
            raise ValueError("leeway must be between 0 and 5 minutes")
        self._rules = Rules(issuer, audience, leeway.total_seconds())
        self._source = keys
        self._checks = tuple(
            check for check in (keys.is_revoked if isinstance(keys, Revocations) else None, is_revoked) if check
        )
        self._on_verdict = on_verdict
        self._clock = clock
        self._cache_size = cache_size
        self._cache: OrderedDict[str, tuple[VerifiedToken, RSAPublicKey]] = OrderedDict()

    async def verify(self, token: str) -> VerifiedToken:
        """Like verify_now, but an unknown key, or having no keys at all, is first taken up with the key source.

        Raises TokenRefused, or KeysUnavailable if there is no verdict.
        """
        verified = self.verify_if_known(token)
        if verified is None:
            await self._source.look_again()
            verified = self.verify_now(token)
        return verified

    def verify_if_known(self, token: str) -> VerifiedToken | None:
        """What verify_now says, or None where the key source has to be asked first."""
        try:
            verified = self._judge(token)
        except (TokenRefused, KeysUnavailable) as error:
            if error.reason in _CURABLE:
                return None
            tell(self._on_verdict, error.reason)
            raise
        tell(self._on_verdict, "good")
        return verified

    def verify_now(self, token: str) -> VerifiedToken:
        """What `token` says, judged by the keys in hand; never does I/O. Raises TokenRefused or KeysUnavailable."""
        try:
            verified = self._judge(token)
        except (TokenRefused, KeysUnavailable) as error:
            tell(self._on_verdict, error.reason)
            raise
        tell(self._on_verdict, "good")
        return verified

    def _judge(self, token: str) -> VerifiedToken:
        if type(token) is not str:
            raise TokenInvalid("the token is not a str", reason="malformed")
        keys = self._source.current()
        now = self._clock()
        token_and_key = self._cache.get(token) if self._cache_size else None
        if token_and_key is None or not _still_holds(token_and_key, keys):
            token_and_key = check(token, keys, self._rules, now)
            if self._cache_size:
                self._remember(token, token_and_key)
        else:
            # Only the signature is remembered. Time goes on, or jumps.
            check_time(token_and_key[0], self._rules, now)
        verified = token_and_key[0]
        for is_revoked in self._checks:
            if is_revoked(verified):
                raise TokenRevoked("the session of the token was ended", reason="revoked")
        return verified

    def _remember(self, token: str, token_and_key: tuple[VerifiedToken, RSAPublicKey]) -> None:
        # Only tokens that were found good get here, so strangers cannot push anybody out. The exact text is the key:
        # base64url was checked to be canonical, so no second spelling of it exists.
        self._cache[token] = token_and_key
        while len(self._cache) > self._cache_size:
            try:
                self._cache.popitem(last=False)
            except KeyError:  # Another thread was quicker.
                return


def _still_holds(token_and_key: tuple[VerifiedToken, RSAPublicKey], keys: KeySet) -> bool:
    """Whether the key that signed is still trusted. A fetched set holds new objects for the same keys, hence `==`."""
    token, key = token_and_key
    now_known = keys.get(token.key_id)
    return now_known is key or now_known == key
