"""Argon2id off the event loop, and never more of it at once than the machine can bear.

A hash takes tens of milliseconds and many MiB on purpose; a crowd that signs in must neither stall other requests nor
exhaust the memory.
"""

import asyncio
import base64
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from auth_service.domain.errors import Overloaded

T = TypeVar("T")


class UnreadableHash(Exception):
    """What is stored is no argon2 hash. The message does not quote it."""


def default_at_once() -> int:
    """The cores that this process may use. More at once hash no more per second, but stall others and take memory."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        self._nobodys_hash = _hash_of_no_password(memory_kib=memory_kib, passes=passes, lanes=lanes)
        self._threads = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="password-hashing")
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
        """Whether `encoded` was made with other parameters than today's. Raises UnreadableHash."""
        try:
            return self._hasher.check_needs_rehash(encoded)
        except InvalidHashError:
            raise UnreadableHash("the stored password hash is not argon2's") from None

    async def close(self) -> None:
        """Waits for the hashes under way and drops those that wait."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _verified(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except VerifyMismatchError:
            self._make_up_for(encoded, password)
            return False
        except (InvalidHashError, VerificationError):
            raise UnreadableHash("the stored password hash is not argon2's") from None

    def _make_up_for(self, encoded: str, password: str) -> None:
        """Works off what a hash with former, cheaper parameters saved.

        A wrong password would tell a known name from an unknown one by the time otherwise. The right one has a new hash
        made, and tells no more than it does anyway.
        """
        former, today = argon2.extract_parameters(encoded), self._hasher
        saved = today.memory_cost * today.time_cost - former.memory_cost * former.time_cost
        passes = round(saved / today.memory_cost)
        if passes > 0:
            argon2.low_level.hash_secret_raw(
                password.encode(),
                os.urandom(today.salt_len),
                time_cost=passes,
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
