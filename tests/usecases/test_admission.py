"""A crowd begins in its order and no faster than the loop bears; nobody waits for ever, or for those who left."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from auth_service.usecases import admission as module
from auth_service.usecases.admission import Admission
from tests.support.conditions import eventually


async def test_an_idle_loop_lets_everybody_in_in_their_order() -> None:
    admission, admitted = Admission(), list[int]()

    async def one(number: int) -> None:
        await admission.turn()
        admitted.append(number)

    await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(200))), 10)

    assert admitted == list(range(200))


async def test_those_who_only_wait_for_others_keep_nobody_out() -> None:
    admission, silence = Admission(), asyncio.Event()

    async def hangs() -> None:
        await admission.turn()
        await silence.wait()

    hanging = [asyncio.create_task(hangs()) for _ in range(200)]
    await asyncio.wait_for(admission.turn(), 10)

    silence.set()
    await asyncio.gather(*hanging)


async def test_a_busy_loop_lets_nobody_in_until_they_have_waited_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEARABLE_TURN", timedelta(0))
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(hours=1))
    admission = Admission()
    held_back = asyncio.create_task(admission.turn())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not held_back.done()

    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(0))
    patient = asyncio.create_task(admission.turn())
    monkeypatch.setattr(module, "BEARABLE_TURN", timedelta(days=1))

    await asyncio.wait_for(asyncio.gather(held_back, patient), 10)


async def test_a_turn_that_took_long_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEARABLE_TURN", timedelta(milliseconds=1))
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(hours=1))
    admission, is_busy, turns = Admission(), True, 0

    async def burn() -> None:
        nonlocal turns
        while is_busy:
            time.sleep(0.002)  # noqa: ASYNC251 -- a loop that is kept busy is what this is about
            turns += 1
            await asyncio.sleep(0)

    burning = asyncio.create_task(burn())
    waiting = asyncio.create_task(admission.turn())
    await eventually(lambda: turns > 20)
    assert not waiting.done()

    is_busy = False
    await asyncio.wait_for(waiting, 10)
    await burning


async def test_whoever_left_takes_nobodys_place() -> None:
    admission = Admission()
    first, second, third = (asyncio.create_task(admission.turn()) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()

    await asyncio.wait_for(asyncio.gather(first, third), 10)

    with suppress(asyncio.CancelledError):
        await second
    assert second.cancelled()
