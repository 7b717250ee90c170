"""Argon2id off the loop. Small parameters where only the queue matters."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import argon2
import pytest

from auth_service.domain.errors import Overloaded
from auth_service.providers.password_hashing import PasswordHashing, UnreadableHash, default_at_once


@pytest.fixture
async def hashing() -> AsyncIterator[PasswordHashing]:
    hashing = PasswordHashing(memory_kib=64, passes=1)
    yield hashing
    await hashing.close()


@pytest.fixture
async def narrow() -> AsyncIterator[PasswordHashing]:
    """One at once, one more waiting; a hash takes long enough for others to come in the meantime."""
    hashing = PasswordHashing(memory_kib=19456, passes=10, at_once=1, queue=1)
    yield hashing
    await hashing.close()


async def test_the_right_password_and_no_other(hashing: PasswordHashing) -> None:
    encoded = await hashing.hash("correct horse")

    assert await hashing.verify(encoded, "correct horse")
    assert not await hashing.verify(encoded, "correct horse ")
    assert not await hashing.verify(encoded, "")


async def test_nothing_is_cut_off(hashing: PasswordHashing) -> None:
    encoded = await hashing.hash("x" * 1024)

    assert not await hashing.verify(encoded, "x" * 1023)
    assert not await hashing.verify(await hashing.hash("pw"), "pw\0")


async def cpu_seconds(check: Callable[[str], Awaitable[object]], argument: str) -> float:
    """The least of a few goes. Of this process alone, so that a busy machine does not matter."""
    least = float("inf")
    for _ in range(5):
        began = time.process_time()
        await check(argument)
        least = min(least, time.process_time() - began)
    return least


async def test_the_defaults_are_owasps_and_take_50_ms() -> None:
    hashing = PasswordHashing()

    encoded = await hashing.hash("correct horse")

    parameters = argon2.extract_parameters(encoded)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 5, 1)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)
    assert not hashing.needs_rehash(encoded)
    await hashing.close()


async def test_salts_differ(hashing: PasswordHashing) -> None:
    assert await hashing.hash("same") != await hashing.hash("same")


async def test_nobodys_password_is_checked_like_any_other() -> None:
    hashing = PasswordHashing(memory_kib=128, passes=3, lanes=2)
    encoded = await hashing.hash("correct horse")

    assert argon2.extract_parameters(hashing._nobodys_hash) == argon2.extract_parameters(encoded)
    for password in ("", "correct horse", "x" * 1024):
        assert not await hashing.verify(hashing._nobodys_hash, password)
    await hashing.close()


async def test_an_unknown_name_costs_what_a_wrong_password_costs_whatever_it_was_hashed_with(
    narrow: PasswordHashing,
) -> None:
    former = PasswordHashing(memory_kib=19456, passes=2)
    old, new = await former.hash("correct horse"), await narrow.hash("correct horse")

    async def check(encoded: str) -> None:
        assert not await narrow.verify(encoded, "wrong")

    nobody = await cpu_seconds(narrow.verify_nobody, "wrong")

    for encoded in (old, new):
        assert 0.6 < await cpu_seconds(check, encoded) / nobody < 1.6
    await former.close()


async def test_other_parameters_ask_for_a_new_hash(hashing: PasswordHashing) -> None:
    stronger = PasswordHashing(memory_kib=128, passes=2)
    encoded = await hashing.hash("correct horse")

    assert not hashing.needs_rehash(encoded)
    assert stronger.needs_rehash(encoded)
    assert await stronger.verify(encoded, "correct horse")
    await stronger.close()


@pytest.mark.parametrize(
    "stored", ["", "plain text", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1$x$"]
)
async def test_what_is_no_hash_is_not_a_wrong_password(hashing: PasswordHashing, stored: str) -> None:
    with pytest.raises(UnreadableHash):
        await hashing.verify(stored, "correct horse")


async def test_a_full_queue_is_refused_and_empties_again(narrow: PasswordHashing) -> None:
    answers = await asyncio.gather(*(narrow.hash("correct horse") for _ in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [str, str, Overloaded, Overloaded, Overloaded]

    await asyncio.gather(narrow.hash("correct horse"), narrow.hash("correct horse"))


async def test_the_loop_goes_on_while_a_password_is_hashed(narrow: PasswordHashing) -> None:
    hashing = asyncio.create_task(narrow.hash("correct horse"))

    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 10
    assert await hashing


async def test_a_caller_who_leaves_the_queue_gives_the_place_to_the_next(narrow: PasswordHashing) -> None:
    running = asyncio.create_task(narrow.hash("first"))
    for _ in range(3):
        waiting = asyncio.create_task(narrow.hash("second"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    third = asyncio.create_task(narrow.hash("third"))

    assert await running
    assert await third


async def test_a_caller_who_leaves_while_being_served_leaks_no_place(narrow: PasswordHashing) -> None:
    for _ in range(3):
        leaving = asyncio.create_task(narrow.hash("first"))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await narrow.hash("second")

    await asyncio.gather(narrow.hash("third"), narrow.hash("fourth"))


async def test_two_hundred_at_once_are_served_or_refused() -> None:
    hashing = PasswordHashing(memory_kib=19456, passes=2)

    answers = await asyncio.gather(*(hashing.hash("correct horse") for _ in range(200)), return_exceptions=True)

    served = sum(isinstance(answer, str) for answer in answers)
    assert served >= min(200, default_at_once() + 128)
    assert served + sum(isinstance(answer, Overloaded) for answer in answers) == 200
    await hashing.close()


async def test_after_closing_nothing_is_hashed(hashing: PasswordHashing) -> None:
    await hashing.close()

    with pytest.raises(RuntimeError):
        await hashing.hash("correct horse")
