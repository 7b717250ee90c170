"""How often programs that check our tokens fetch the key set, where nothing else was set there.

Sources, read in November 2026: envoy: `RemoteJwks.cache_duration`, 10 minutes. istio: istiod fetches for its proxies,
`PILOT_JWT_PUB_KEY_REFRESH_INTERVAL`, 20 minutes. nginx: NGINX Plus keeps what `proxy_cache_valid` says, 12 hours in its
manual. pyjwt: `PyJWKClient(lifespan=300)`. jose: `createRemoteJWKSet`, `cacheMaxAge`, 10 minutes. spring: Nimbus's
`JWKSourceBuilder`, 5 minutes. auth-client: `HttpJwks` goes by our max-age, and the trust stream is told at once.
Of these envoy, istio and nginx do not fetch again when they meet a key that they do not know.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from auth_service.settings.values import duration, listed

PROFILES: Mapping[str, timedelta] = {
    "auth-client": timedelta(minutes=5),
    "envoy": timedelta(minutes=10),
    "istio": timedelta(minutes=20),
    "jose": timedelta(minutes=10),
    "nginx": timedelta(hours=12),
    "pyjwt": timedelta(minutes=5),
    "spring": timedelta(minutes=5),
}

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


def consumers(value: Any) -> Any:
    """`envoy,istio,gateway=15m`: names of PROFILES, and others with how often they fetch."""
    if not isinstance(value, str):
        return value
    pairs = [item.partition("=") for item in listed(value)]
    unknown = [name for name, separator, _ in pairs if not separator and name not in PROFILES]
    if unknown or not all(_NAME.fullmatch(name) for name, _, _ in pairs):
        raise ValueError(f"expected of {', '.join(PROFILES)}, or such as gateway=15m, and commas between several")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError("expected each name once")
    return {name: duration(span) if separator else PROFILES[name] for name, separator, span in pairs}
