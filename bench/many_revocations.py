"""100,000 sessions that have ended and whose tokens are still about: what that costs a verifier on the trust stream.

Beside 1,000: how long a look-up takes. And how the snapshot is sent, how soon a stream has it, and what the service
holds for one that asks for it and never reads.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import grpc
from auth_api.v1 import trust_pb2

from bench.figures import Figure
from bench.follower import session_id
from bench.service import Stage, stage

FEW, MANY = 1_000, 100_000
UNREAD = 200
_WATCH = "/auth_api.v1.TrustService/WatchTrust"
_KNOWN_WITHIN = 60.0
"""Seconds until the server has read them all."""


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage() as service:
        await _end(service, range(FEW))
        await _snapshot_of(service, FEW)
        follower = await asyncio.to_thread(_started, service.process.grpc_address)
        try:
            # The first stream of a process brings what every stream needs, so only the next ones are compared.
            await asyncio.to_thread(_followed, follower)
            few = await asyncio.to_thread(_followed, follower)
            await _end(service, range(FEW, MANY))
            chunks, seconds = await _snapshot_of(service, MANY)
            many = await asyncio.to_thread(_followed, follower)
            unread = await _held_for_unread(service)
        finally:
            follower.kill()
            await asyncio.to_thread(follower.wait)
    assert (few["told"], many["told"]) == (FEW, MANY), (few, many)
    return (
        Figure("a look-up among 100,000 ended sessions : 1,000", (many["seconds"] / few["seconds"],), at_most=3),
        Figure("memory of a verifier that knows them", (many["bytes"] / 1e6,), unit="MB", at_most=25),
        Figure("largest of the chunks of their snapshot", (max(chunks) / 1e6,), unit="MB", at_most=1.05),
        Figure(f"until all {len(chunks)} chunks are there", (seconds,), unit="s"),
        Figure("held by the service for a stream that is never read", (unread / 1e6,), unit="MB", at_most=0.25),
    )


async def _end(service: Stage, numbers: range) -> None:
    connection: Any = await asyncpg.connect(service.dsn)
    now = datetime.now(UTC)
    rows = [(UUID(session_id(number)), now, now + timedelta(minutes=20)) for number in numbers]
    await connection.copy_records_to_table(
        "revocation", records=rows, columns=["session_id", "revoked_at", "expires_at"]
    )
    await connection.close()


async def _snapshot_of(service: Stage, count: int) -> tuple[Sequence[int], float]:
    """The sizes of its chunks, and the seconds until the last one, once the server knows `count`."""
    give_up = time.monotonic() + _KNOWN_WITHIN
    while time.monotonic() < give_up:
        began = time.monotonic()
        chunks = [chunk async for chunk in _chunks(service.channel)]
        told = [trust_pb2.WatchTrustResponse.FromString(chunk).snapshot for chunk in chunks]
        if sum(len(group.session_ids) for each in told for group in each.revoked) == count:
            return [len(chunk) for chunk in chunks], time.monotonic() - began
        await asyncio.sleep(0.2)
    raise TimeoutError("the server never knew them all")


async def _chunks(channel: grpc.aio.Channel) -> Any:
    watch: Any = channel.unary_stream(_WATCH)
    call = watch(b"")
    while True:
        message = await call.read()
        yield message
        if trust_pb2.WatchTrustResponse.FromString(message).snapshot.last:
            call.cancel()
            return


async def _held_for_unread(service: Stage) -> float:
    """Bytes a stream."""
    # A window that does not grow to hold what is not read.
    options = (
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 65_536),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.insecure_channel(service.process.grpc_address, options=options) as channel:
        watch: Any = channel.unary_stream(_WATCH)
        before = service.process.rss()
        calls = [watch(b"") for _ in range(UNREAD)]
        for call in calls:
            await call.initial_metadata()
        held = service.process.rss() - before
        for call in calls:
            call.cancel()
    return held / UNREAD


def _started(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.follower", address]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _followed(follower: subprocess.Popen[str]) -> dict[str, Any]:
    assert follower.stdin is not None
    assert follower.stdout is not None
    follower.stdin.write("\n")
    follower.stdin.flush()
    answer: dict[str, Any] = json.loads(follower.stdout.readline())
    return answer
