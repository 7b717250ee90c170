"""`python -m bench.follower ADDRESS`: a verifier on the trust stream, in a process of its own that does nothing else.

For each line that it reads it begins a stream anew and says in one line of JSON how many ended sessions it was told,
how much memory the process holds since, and the seconds that it takes to say of one session whether it has ended.
"""

import asyncio
import gc
import json
import random
import sys
import time
from typing import Any
from uuid import UUID

import psutil
from auth_client.trust import TrustStream

LOOK_UPS, ROUNDS = 2000, 15


class _Token:
    def __init__(self, session_id: str) -> None:
        self.session_id = session_id


async def _follow(address: str) -> None:
    for _ in sys.stdin:
        gc.collect()
        before = _resident()
        async with TrustStream(address, plaintext=True) as trust:
            told = trust.health.revoked_sessions
            gc.collect()
            print(
                json.dumps({"told": told, "bytes": _resident() - before, "seconds": _look_up(trust, told)}), flush=True
            )


def _look_up(trust: TrustStream, told: int) -> float:
    """One after another in no order, half of them not known."""
    numbers = random.Random(1).sample(range(2 * told), LOOK_UPS)
    tokens: list[Any] = [_Token(session_id(number)) for number in numbers]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        for token in tokens:
            trust.is_revoked(token)
        best = min(best, time.thread_time() - began)
    return best / LOOK_UPS


def session_id(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    asyncio.run(_follow(sys.argv[1]))
