"""Keys from a JWKS URL. How they are kept is in `fetched_keys`; this is how they are fetched.

What it refuses to do: follow redirects, ask twice for one fetch, or read more than 256 KiB.
"""

import re
import ssl
from datetime import timedelta
from typing import Unpack
from urllib.parse import urlsplit

from .errors import KeySetRefused
from .fetched_keys import FetchedKeys, Keeping
from .keys import LARGEST_KEY_SET, KeySet
from .sources import CONSUMER_NAME, USER_AGENT, checked_name

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_NO_LIFETIME = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])", re.IGNORECASE)


class HttpJwks(FetchedKeys):
    """A key source over HTTP(S). Use it in one event loop; `current` may be called from any thread.

    A set lives for as long as its max-age says, or for `usual_life`. `consumer_name` is what operators see this
    verifier as: one of several behind one address. For `keeping` see FetchedKeys.
    """

    def __init__(
        self,
        url: str,
        *,
        usual_life: timedelta = timedelta(minutes=5),
        ssl_context: ssl.SSLContext | None = None,
        consumer_name: str = "",
        **keeping: Unpack[Keeping],
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the JWKS URL must begin with http:// or https://")
        endpoint = _Endpoint(
            url,
            usual_life=usual_life.total_seconds(),
            ssl_context=ssl_context,
            consumer_name=checked_name(consumer_name),
        )
        super().__init__(endpoint.fetch, name=parts.hostname, **keeping)


class _Endpoint:
    def __init__(self, url: str, *, usual_life: float, ssl_context: ssl.SSLContext | None, consumer_name: str) -> None:
        self._url = url
        self._usual_life = usual_life
        self._ssl = ssl_context
        # Uncompressed, so that the size limit means what it says.
        self._headers = {
            "Accept": "application/jwk-set+json, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **({CONSUMER_NAME: consumer_name} if consumer_name else {}),
        }
        self._last = (b"", KeySet())

    async def fetch(self, known: KeySet | None) -> tuple[KeySet, float]:
        # Imported here, because that takes longer than all the rest, and a fixed key set needs none of it.
        import aiohttp

        async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            try:
                return await handler(request)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                # Of these two aiohttp would make a second request, which doubles what a failing endpoint gets.
                raise aiohttp.ClientConnectionError(str(error)) from error

        # A session per fetch: one every few minutes has no use for kept connections, and cookies must not stick.
        headers = dict(self._headers)
        if known is not None and known.version:
            headers["If-None-Match"] = known.version
        async with (
            aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(once,)
            ) as session,
            session.get(self._url, headers=headers, allow_redirects=False, ssl=self._ssl or True) as reply,
        ):
            life = _life(reply.headers.get("Cache-Control", ""), reply.headers.get("Age", ""), self._usual_life)
            if reply.status == 304 and known is not None and "If-None-Match" in headers:
                return known, life
            if reply.status != 200:
                raise KeySetRefused(f"the JWKS endpoint answered {reply.status}")
            body = bytearray()
            async for chunk in reply.content.iter_any():
                body += chunk
                if len(body) > LARGEST_KEY_SET:
                    raise KeySetRefused("the JWKS is larger than 256 KiB")
            etag = reply.headers.get("ETag", "")
            # An odd ETag could not be sent back, and would then spoil every fetch to come.
            version = etag if etag.isascii() and etag.isprintable() else ""
            return self._read(bytes(body), version), life

    def _read(self, body: bytes, version: str) -> KeySet:
        last_body, last = self._last
        if body != last_body or version != last.version:
            self._last = body, KeySet.from_jwks(body, version)
        return self._last[1]


def _life(cache_control: str, age: str, usual: float) -> float:
    """Seconds that a reply stays fresh (RFC 9111 section 4.2.1): max-age less the Age it already has."""
    if _NO_LIFETIME.search(cache_control):
        return 0
    found = _MAX_AGE.search(cache_control)
    spent = int(age) if age.isdecimal() and len(age) < 10 else 0
    return int(found[1]) - spent if found else usual
