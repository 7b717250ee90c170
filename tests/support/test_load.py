"""That the load keeps its schedule and hides nothing."""

import asyncio
import math

import grpc
import pytest

from tests.support.load import Sample, Samples, by_exception, steady


async def test_every_call_of_the_schedule_is_made_and_counted() -> None:
    made = 0

    async def call() -> None:
        nonlocal made
        made += 1
        if made % 4 == 0:
            raise ConnectionRefusedError

    samples = await steady(call, rate_per_second=500, seconds=0.2)

    assert samples.outcomes == {"ok": 75, "ConnectionRefusedError": 25}
    assert made == 100


async def test_a_stall_shows_in_every_call_that_was_due_during_it() -> None:
    lock = asyncio.Lock()
    first = True

    async def call() -> None:
        nonlocal first
        async with lock:
            if first:
                first = False
                await asyncio.sleep(0.3)

    samples = await steady(call, rate_per_second=100, seconds=0.3)

    assert len(samples.calls) == 30
    assert samples.max >= 0.3
    assert 0.1 < samples.p50 < 0.2
    assert len(samples.due_between(0.0, 0.1).calls) == 10


async def test_beyond_the_bound_calls_are_unsent_and_at_the_end_unfinished() -> None:
    samples = await steady(asyncio.Event().wait, rate_per_second=1000, seconds=0.05, most_outstanding=10, patience=0.05)

    assert samples.outcomes == {"unsent": 40, "unfinished": 10}


async def test_an_event_ends_the_load() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)

    async def call() -> None:
        pass

    samples = await asyncio.wait_for(steady(call, rate_per_second=10, stop=stop), timeout=2)

    assert samples.outcomes == {"ok": 1}


async def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="never end"):
        await steady(asyncio.Event().wait, rate_per_second=1)


def test_percentiles_are_of_real_calls() -> None:
    samples = Samples([Sample(due=0.0, latency=n / 100, outcome="ok") for n in range(1, 101)])
    samples.calls.append(Sample(due=0.0, latency=0.0, outcome="unsent"))

    assert (samples.p50, samples.p95, samples.p99, samples.max) == (0.50, 0.95, 0.99, 1.0)
    assert math.isnan(samples.having("refused").p50)


def test_a_grpc_error_counts_under_its_status() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())

    assert by_exception(None, error) == "UNAVAILABLE"
    assert by_exception("an answer", None) == "ok"
