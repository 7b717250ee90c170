"""Argon2id off the loop. Small parameters where only the queue matters."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import argon2
import bcrypt
import pytest

from auth_service.domain.errors import InvalidInput, Overloaded
from auth_service.domain.imported_hashes import valid_imported_hash
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


@pytest.mark.row("S57")
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


@pytest.mark.row("S54", "B11")
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
        assert 0.5 < await cpu_seconds(check, encoded) / nobody < 2
    await former.close()


def werkzeugs(method: str, password: str, *, salt: str = "aB3dE6gH") -> str:
    """As `werkzeug.security.generate_password_hash` writes it."""
    kind, *rest = method.split(":")
    if kind == "scrypt":
        n, r, p = (int(each) for each in rest)
        made = hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=r, p=p, maxmem=2**27)
    else:
        made = hashlib.pbkdf2_hmac(rest[0], password.encode(), salt.encode(), int(rest[1]))
    return f"{method}${salt}${made.hex()}"


def bcrypts(password: str, *, cost: int = 4, prefix: bytes = b"2b") -> str:
    made = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()
    return made.replace("$2b$", f"${prefix.decode()}$")


IMPORTED: dict[str, Callable[[str], str]] = {
    "bcrypt-2a": lambda password: bcrypts(password, prefix=b"2a"),
    "bcrypt-2b": bcrypts,
    "bcrypt-2y": lambda password: bcrypts(password, prefix=b"2y"),
    "pbkdf2-sha256": lambda password: werkzeugs("pbkdf2:sha256:1000", password),
    "pbkdf2-sha512": lambda password: werkzeugs("pbkdf2:sha512:1000", password),
    "scrypt": lambda password: werkzeugs("scrypt:1024:8:1", password),
    "scrypt-least": lambda password: werkzeugs("scrypt:2:1:1", password),
    "scrypt-narrow": lambda password: werkzeugs("scrypt:32768:1:4", password),
    "scrypt-wide": lambda password: werkzeugs("scrypt:2:99:4", password),
    "argon2i": argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, type=argon2.Type.I).hash,
}


@pytest.mark.row("B11")
@pytest.mark.parametrize("kind", IMPORTED)
async def test_a_hash_from_elsewhere_is_of_its_password_alone_and_asks_for_a_new_one(
    hashing: PasswordHashing, kind: str
) -> None:
    encoded = IMPORTED[kind]("Grüße aus Köln")

    assert valid_imported_hash(encoded) == encoded
    assert await hashing.verify(encoded, "Grüße aus Köln")
    for wrong in ("grüße aus köln", "Grüße aus Köl", "Grüße aus Köln ", ""):
        assert not await hashing.verify(encoded, wrong)
    assert hashing.needs_rehash(encoded)


@pytest.mark.row("B11")
@pytest.mark.parametrize(
    ("encoded", "password"),
    [
        # Of the test vectors that come with crypt_blowfish.
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
    ],
)
async def test_known_hashes_of_others_are_understood(hashing: PasswordHashing, encoded: str, password: str) -> None:
    assert await hashing.verify(encoded, password)


@pytest.mark.row("S57")
async def test_what_bcrypt_would_not_look_at_is_not_let_in(hashing: PasswordHashing) -> None:
    encoded = bcrypts("x" * 72)

    assert await hashing.verify(encoded, "x" * 72)
    assert not await hashing.verify(encoded, "x" * 73)
    assert not await hashing.verify(encoded, "x" * 72 + "anything")


@pytest.mark.row("C13", "S52")
@pytest.mark.parametrize("method", ["pbkdf2:sha256:40000", "pbkdf2:sha512:200000"])
async def test_a_name_with_a_cheaper_or_dearer_hash_from_elsewhere_is_not_told_by_the_time(method: str) -> None:
    hashing = PasswordHashing(memory_kib=19456, passes=5, at_once=1)
    imported, ours = werkzeugs(method, "correct horse"), await hashing.hash("correct horse")

    async def check(encoded: str) -> None:
        assert not await hashing.verify(encoded, "wrong")

    await check(imported)
    nobody = await cpu_seconds(hashing.verify_nobody, "wrong")

    for encoded in (imported, ours):
        assert 0.5 < await cpu_seconds(check, encoded) / nobody < 2
    await hashing.close()


A_BCRYPT = "$2b$12$" + "a" * 21 + "u" + "b" * 31


@pytest.mark.row("B11")
@pytest.mark.parametrize(
    "malformed",
    [
        "", "plain text", "\0", "$2b$12$abcdefghijklmnopqrstuv", A_BCRYPT[:-1], A_BCRYPT + "b", A_BCRYPT + "\n",
        A_BCRYPT.replace("2b", "2x"), A_BCRYPT.replace("$12$", "$03$"), A_BCRYPT.replace("$12$", "$31$"),
        "pbkdf2:sha256$salt$" + "0" * 64, "pbkdf2:md5:1000$salt$" + "0" * 32, "pbkdf2:sha256:0$salt$" + "0" * 64,
        "pbkdf2:sha256:1000000000$salt$" + "0" * 64, "pbkdf2:sha256:9000000$salt$" + "0" * 64,
        "pbkdf2:sha256:1000$salt$" + "0" * 63, "pbkdf2:sha256:1000$$" + "0" * 64,
        "pbkdf2:sha512:1000$salt$" + "g" * 128,
        "scrypt:1000:8:1$salt$" + "0" * 128, "scrypt:1048576:8:1$salt$" + "0" * 128,
        "scrypt:32768:8:99$salt$" + "0" * 128, "scrypt:65536:1:1$salt$" + "0" * 128,
        "$argon2id$v=19$m=64,t=1,p=1$x$", "$argon2id$v=19$m=4194304,t=3,p=1$" + "a" * 22 + "$" + "b" * 43,
        "$argon2id$v=19$m=65536,t=999,p=1$" + "a" * 22 + "$" + "b" * 43, "x" * 1_000_000,
    ],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_an_import_that_is_malformed_or_too_dear_is_refused_and_not_quoted(malformed: str) -> None:
    with pytest.raises(InvalidInput, match=r"^password_hash: expected") as refused:
        valid_imported_hash(malformed)

    assert not malformed or malformed not in str(refused.value)


@pytest.mark.row("S54")
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


@pytest.mark.row("S55", "B11")
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


@pytest.mark.row("S55")
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
