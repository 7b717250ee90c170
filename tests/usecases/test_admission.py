"""A crowd begins in its order and no faster than the loop bears; nobody waits for ever, or for those who left."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from auth_service import settings
from auth_service.app.administration import password_hashing
from auth_service.domain.errors import Overloaded
from auth_service.usecases import admission as module
from auth_service.usecases.admission import Admission
from tests.support.conditions import eventually


@pytest.fixture(name="idle_loop")
def a_loop_that_is_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is. Whom it lets in is a matter of order then, and of no time."""
    for name in ("BEARABLE_LAG", "LONGEST_WAIT"):
        monkeypatch.setattr(module, name, timedelta(hours=1))
    for name in ("PROBE", "PROBE_ALONE"):
        monkeypatch.setattr(module, name, timedelta(0))


@pytest.fixture(name="late_loop")
def a_loop_that_is_always_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEARABLE_LAG", timedelta(seconds=-1))
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(hours=1))


class Crowd:
    """Who went in, in which order; each stays until `leave`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._leaving = asyncio.Event()
        self.entered: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, count: int) -> None:
        self.tasks += [asyncio.create_task(self._one(len(self.tasks) + number)) for number in range(count)]

    async def leave(self) -> None:
        self._leaving.set()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self.tasks)

    async def _one(self, number: int) -> None:
        async with self._admission.entered():
            self.entered.append(number)
            await self._leaving.wait()


@pytest.mark.usefixtures("idle_loop")
async def test_an_idle_loop_lets_everybody_in_in_their_order_however_long_they_stay() -> None:
    crowd = Crowd(Admission())

    crowd.come(200)

    await eventually(lambda: len(crowd.entered) == 200)
    assert crowd.entered == list(range(200))
    await crowd.leave()


@pytest.mark.usefixtures("idle_loop")
async def test_a_crowd_is_slowed_down_for_others_and_only_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE", timedelta(hours=1))
    alone, beside_others = Crowd(Admission()), Crowd(busy := Admission())

    busy.others_call()
    beside_others.come(50)
    alone.come(50)

    await eventually(lambda: len(alone.entered) >= module.FEW_INSIDE)
    assert beside_others.entered == list(range(module.ALWAYS_IN))
    tasks = alone.tasks + beside_others.tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("late_loop")
async def test_a_late_loop_lets_in_so_many_as_always_and_then_one_for_each_that_leaves() -> None:
    crowd = Crowd(Admission())

    crowd.come(10)
    await eventually(lambda: len(crowd.entered) == module.ALWAYS_IN)
    for _ in range(100):
        await asyncio.sleep(0)

    assert crowd.entered == list(range(module.ALWAYS_IN))
    await crowd.leave()
    assert crowd.entered == list(range(10))


@pytest.mark.usefixtures("late_loop")
async def test_nobody_waits_longer_than_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(Admission())
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(0))

    crowd.come(10)

    await eventually(lambda: len(crowd.entered) == 10)
    await crowd.leave()


@pytest.mark.usefixtures("late_loop")
async def test_whoever_left_while_waiting_takes_nobodys_place() -> None:
    crowd = Crowd(Admission())
    crowd.come(module.ALWAYS_IN + 3)
    await eventually(lambda: len(crowd.entered) == module.ALWAYS_IN)

    crowd.tasks[module.ALWAYS_IN].cancel()
    await asyncio.wait([crowd.tasks[module.ALWAYS_IN]])
    await asyncio.gather(crowd.leave(), return_exceptions=True)
    await asyncio.gather(*crowd.tasks, return_exceptions=True)

    assert module.ALWAYS_IN not in crowd.entered
    assert len(crowd.entered) == module.ALWAYS_IN + 2


async def test_an_error_inside_gives_the_place_back() -> None:
    admission = Admission()

    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            async with admission.entered():
                raise ZeroDivisionError

    assert admission._inside == 0


@pytest.mark.row("S55")
@pytest.mark.usefixtures("late_loop")
async def test_whoever_comes_when_too_many_wait_is_told_when_to_come_again() -> None:
    crowd = Crowd(Admission())
    crowd.come(module.ALWAYS_IN + module.MOST_WAITING)
    await eventually(lambda: len(crowd.entered) == module.ALWAYS_IN)

    crowd.come(1)

    with pytest.raises(Overloaded) as refused:
        await crowd.tasks.pop()
    assert refused.value.retry_after >= module.SOONEST_AGAIN
    for task in crowd.tasks:
        task.cancel()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)


@pytest.mark.row("S55")
async def test_whoever_finds_too_many_inside_is_told_so_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in ("MOST_INSIDE", "MOST_INSIDE_LATE"):
        monkeypatch.setattr(module, most, 5)
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(milliseconds=20))
    crowd = Crowd(Admission())

    crowd.come(8)

    told = await asyncio.gather(*crowd.tasks[5:], return_exceptions=True)
    again = [each.retry_after for each in told if isinstance(each, Overloaded)]
    assert len(set(again)) == 3
    assert module.SOONEST_AGAIN <= min(again) <= max(again) <= module.LATEST_AGAIN
    assert crowd.entered == list(range(5))
    crowd.tasks = crowd.tasks[:5]
    await crowd.leave()


async def test_whoever_is_let_in_finds_room_to_have_a_password_hashed() -> None:
    hashing = password_hashing(settings.load({}, makes_home=False)[0])
    crowd = [asyncio.create_task(hashing.verify_nobody("any")) for _ in range(module.MOST_INSIDE)]

    # Whoever is turned away knows at once; nobody here waits for a hash.
    await asyncio.sleep(0)

    assert not any(each.done() for each in crowd)
    for each in crowd:
        each.cancel()
    await hashing.close()
