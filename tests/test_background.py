"""Steps that go on for ever: through failures, and at once when they are woken."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from auth_service.background import every, in_background
from auth_service.domain.errors import DatabaseUnavailable, NotFound
from tests.support.conditions import eventually

SOON, NEVER = timedelta(milliseconds=1), timedelta(days=1)


async def test_no_failure_ends_the_turns() -> None:
    failures = iter([DatabaseUnavailable(), NotFound("gone"), ZeroDivisionError(), None])
    reached_the_end = asyncio.Event()

    async def step() -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        reached_the_end.set()

    async with in_background(every(SOON, step)):
        await asyncio.wait_for(reached_the_end.wait(), 10)


async def test_a_hundred_wakings_cost_one_step() -> None:
    woken, steps = asyncio.Event(), 0

    async def step() -> None:
        nonlocal steps
        steps += 1

    async def has_stepped() -> bool:
        return steps > 0

    async with in_background(every(NEVER, step, woken_by=woken)):
        for _ in range(100):
            woken.set()
        await eventually(has_stepped)

    assert steps == 1


async def test_leaving_ends_the_turns() -> None:
    ended = asyncio.Event()

    async def turn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with in_background(turn()):
        await asyncio.sleep(0)

    assert ended.is_set()


async def test_leaving_ends_the_turns_of_a_step_that_lost_its_cancellation() -> None:
    has_begun = asyncio.Event()

    async def step() -> None:
        has_begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with in_background(every(SOON, step)):
            await has_begun.wait()
