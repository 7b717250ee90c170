"""10,000 tokens whose kid nobody knows, of a verifier on a JWKS: how often that is asked, for each cool-down.

The cool-down is short, so that the flood lasts for several; while the endpoint is well, and while it fails.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from auth_client import HttpJwks, TokenInvalid, TokenVerifier

from bench.figures import Figure
from tests.client.jwks_endpoint import FAULTS, JwksEndpoint
from tests.client.minting import b64, compact, header, token, verifier

TOKENS, AT_A_TIME = 10_000, 100
COOL_DOWN = timedelta(seconds=0.05)
_MODES = {"well": None, "failing": FAULTS["500"], "hanging up": FAULTS["connection dropped"]}


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    fetches = [await _fetches_per_cool_down(mode) for mode in _MODES]
    name = f"{TOKENS:,} unknown kids : fetches per cool-down,"
    return [Figure(f"{name} {mode}", (each,), at_most=1) for mode, each in zip(_MODES, fetches, strict=True)]


async def _fetches_per_cool_down(mode: str) -> float:
    async with JwksEndpoint() as endpoint, HttpJwks(endpoint.url, cool_down=COOL_DOWN) as keys:
        checker = verifier(keys=keys)
        endpoint.fault, endpoint.hits = _MODES[mode], 0
        began = time.monotonic()
        for first in range(0, TOKENS, AT_A_TIME):
            await asyncio.gather(*[_refused(checker, number) for number in range(first, first + AT_A_TIME)])
            checker.verify_now(token())
        cool_downs = math.ceil((time.monotonic() - began) / COOL_DOWN.total_seconds())
    return endpoint.hits / cool_downs


async def _refused(checker: TokenVerifier, number: int) -> None:
    _, payload, signature = token().split(".")
    stranger = b64(compact(header(kid=f"stranger {number}")))
    with suppress(TokenInvalid):
        await checker.verify(f"{stranger}.{payload}.{signature}")
        raise AssertionError("a stranger was let in")
