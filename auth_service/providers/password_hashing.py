"""Argon2id off the event loop, and never more of it at once than the machine can bear.

A hash takes tens of milliseconds and many MiB on purpose; a crowd that signs in must neither stall other requests nor
exhaust the memory. Hashes of other systems are checked too, and replaced by our own at the next sign-in.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from auth_service.domain.errors import Overloaded
from auth_service.domain.imported_hashes import Bcrypt, Foreign, Pbkdf2, Scrypt, foreign
from auth_service.providers.processors import processors
from auth_service.providers.threads import threads_that_step_back

T = TypeVar("T")

LATER = 5
"""The niceness of the threads that hash: the event loop goes first where there is one processor only."""


SCRYPT_HEADROOM = 1024 * 1024
"""Bytes that OpenSSL may take beyond what scrypt needs."""


class UnreadableHash(Exception):
    """What is stored is no hash that can be checked. The message does not quote it."""


def default_at_once() -> int:
    """One fewer than there are processors, but one at least: who answers calls has the last (docs/decisions/0032)."""
    return max(1, processors() - 1)


class PasswordHashing:
    """Hashes and verifies with argon2id; the defaults are OWASP's smallest memory and passes for 50 ms at least.

    `at_once` run together, `queue` more wait, whoever comes then gets Overloaded. Memory: `at_once` times `memory_kib`.
    """

    def __init__(
        self,
        *,
        memory_kib: int = 19456,
        passes: int = 5,
        lanes: int = 1,
        at_once: int | None = None,
        queue: int = 128,
    ) -> None:
        at_once = at_once or default_at_once()
        self._hasher = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=argon2.Type.ID
        )
        self._dearness = _Dearness(passes)
        self._nobodys_hash = _hash_of_no_password(memory_kib=memory_kib, passes=passes, lanes=lanes)
        self._threads = threads_that_step_back("password-hashing", at_most=at_once, niceness=LATER)
        self._places = threading.BoundedSemaphore(at_once + queue)

    async def hash(self, password: str) -> str:
        """The encoded hash, parameters and a fresh 16-byte salt included. Raises Overloaded."""
        return await self._off_the_loop(partial(self._hasher.hash, password))

    async def verify(self, encoded: str, password: str) -> bool:
        """Whether `encoded` is of `password`. Raises Overloaded, UnreadableHash."""
        return await self._off_the_loop(partial(self._verified, encoded, password))

    async def verify_nobody(self, password: str) -> None:
        """Costs what a wrong password costs, so that an unknown name cannot be told by the time. Raises Overloaded."""
        await self.verify(self._nobodys_hash, password)

    def needs_rehash(self, encoded: str) -> bool:
        """Whether `encoded` was made with other parameters than today's, or elsewhere. Raises UnreadableHash."""
        if foreign(encoded) is not None:
            return True
        try:
            return self._hasher.check_needs_rehash(encoded)
        except InvalidHashError:
            raise UnreadableHash("the stored password hash is not argon2's") from None

    async def close(self) -> None:
        """Waits for the hashes under way and drops those that wait."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _verified(self, encoded: str, password: str) -> bool:
        imported = foreign(encoded)
        if imported is None:
            matches, seconds = _timed(lambda: self._is_ours(encoded, password))
            passes = self._dearness.of_argon2(self._passes_of(encoded), seconds=seconds)
        else:
            if not self._dearness.is_known:
                self._verified(self._nobodys_hash, password)
            matches, seconds = _timed(lambda: _is_of(imported, encoded, password))
            passes = self._dearness.of_foreign(imported, seconds=seconds)
        if not matches:
            self._make_up_for(passes, password)
        return matches

    def _is_ours(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError):
            raise UnreadableHash("the stored password hash cannot be read") from None

    def _passes_of(self, encoded: str) -> float:
        """What an argon2 hash costs, in passes over today's memory."""
        made_with = argon2.extract_parameters(encoded)
        return made_with.memory_cost * made_with.time_cost / self._hasher.memory_cost

    def _make_up_for(self, passes: float, password: str) -> None:
        """Works off what a hash that cost so many `passes` saved against the dearest one.

        A wrong password would tell a known name from an unknown one by the time otherwise. The right one has a new hash
        made, and tells no more than it does anyway.
        """
        lacking, today = round(self._dearness.dearest - passes), self._hasher
        if lacking > 0:
            argon2.low_level.hash_secret_raw(
                password.encode(),
                os.urandom(today.salt_len),
                time_cost=lacking,
                memory_cost=today.memory_cost,
                parallelism=today.parallelism,
                hash_len=today.hash_len,
                type=today.type,
            )

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise Overloaded("too many passwords are being checked")
        try:
            future = self._threads.submit(work)
        except BaseException:
            self._places.release()
            raise
        # A place is free when its thread is, not when its caller leaves: argon2 cannot be interrupted.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[T]) -> None:
        self._places.release()


def _hash_of_no_password(*, memory_kib: int, passes: int, lanes: int) -> str:
    """A well-formed hash with a random digest: verifying against it does the full work, and nothing matches."""
    salt, digest = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (16, 32))
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}$m={memory_kib},t={passes},p={lanes}${salt}${digest}"


class _Dearness:
    """How dear each kind of hash is to check, in passes of argon2 over today's memory.

    Those of argon2 follow from their parameters. What others take is learnt by checking them: while accounts with
    dearer hashes than ours sign in, every wrong password costs as much as theirs. The first of a kind is told by its
    time.
    """

    def __init__(self, todays_passes: int) -> None:
        self._todays_passes = todays_passes
        self._dearest_of_argon2 = float(todays_passes)
        self._seconds_per_pass = 0.0
        self._seconds: dict[object, float] = {}

    @property
    def is_known(self) -> bool:
        """Whether a hash of ours was checked here, by which others are measured."""
        return self._seconds_per_pass > 0

    @property
    def dearest(self) -> float:
        return max([self._dearest_of_argon2, *(each / self._seconds_per_pass for each in self._seconds.values())])

    def of_argon2(self, passes: float, *, seconds: float) -> float:
        """`passes`, one check of which took `seconds`. Of all measures the least counts: the rest is the machine's."""
        self._dearest_of_argon2 = max(self._dearest_of_argon2, passes)
        if passes == self._todays_passes:
            per_pass = max(seconds / passes, 1e-6)
            self._seconds_per_pass = min(per_pass, self._seconds_per_pass or per_pass)
        return passes

    def of_foreign(self, imported: Foreign, *, seconds: float) -> float:
        """What one like `imported` costs, a check of which took `seconds`."""
        kind = (type(imported), imported.cost)
        self._seconds[kind] = min(seconds, self._seconds.get(kind, seconds))
        return self._seconds[kind] / self._seconds_per_pass


def _timed(check: Callable[[], bool]) -> tuple[bool, float]:
    """What `check` says, and how many seconds of the processor it took."""
    began = time.thread_time()
    return check(), time.thread_time() - began


def _is_of(imported: Foreign, encoded: str, password: str) -> bool:
    """Whether a hash from elsewhere is of `password`. Raises UnreadableHash."""
    secret = password.encode()
    match imported:
        case Bcrypt():
            return _is_of_bcrypt(encoded, secret)
        case Pbkdf2(digest, iterations, salt, expected):
            found = hashlib.pbkdf2_hmac(digest, secret, salt.encode(), iterations)
        case Scrypt(n, r, p, salt, expected):
            found = _scrypt(secret, salt.encode(), n=n, r=r, p=p)
    return hmac.compare_digest(found.hex(), expected)


def _scrypt(secret: bytes, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    # What OpenSSL takes: n blocks, one for each lane, and two to work with.
    memory = 128 * r * (n + p + 2)
    try:
        return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=memory + SCRYPT_HEADROOM, dklen=64)
    except ValueError:
        raise UnreadableHash("the stored password hash cannot be read") from None


def _is_of_bcrypt(encoded: str, secret: bytes) -> bool:
    """Of a password longer than 72 bytes, bcrypt saw only the beginning: every ending would be right.

    So none is: whoever had such a one sets a new password. The time is the same.
    """
    # Only where somebody's account came from a system that used it.
    import bcrypt

    try:
        is_right = bcrypt.checkpw(secret[:72], encoded.encode())
    except ValueError:
        raise UnreadableHash("the stored password hash cannot be read") from None
    return is_right and len(secret) <= 72
