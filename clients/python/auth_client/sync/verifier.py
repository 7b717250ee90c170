"""Verifying from threads, with keys that are kept fresh on an event loop of their own."""

import asyncio
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from threading import Lock, Thread
from typing import Any, Self

from ..errors import KeysUnavailable
from ..token import VerifiedToken
from ..verifier import TokenVerifier


class BlockingVerifier:
    """`verifier` for threads; `keys` is its key source, such as HttpJwks, that this opens and closes.

    Use it as a context manager, entered in each process that verifies: a fork has no threads but the one that forked. A
    token whose key is known costs no more than `verify_now`; otherwise the calling thread waits for the key source,
    which bounds that.
    """

    def __init__(self, verifier: TokenVerifier, keys: AbstractAsyncContextManager[Any]) -> None:
        self._verifier = verifier
        self._keys = keys
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._thread = Thread(target=self._loop.run_forever, name="auth-client-keys", daemon=True)
        self._door = Lock()
        self._is_open = False

    def verify(self, token: str) -> VerifiedToken:
        """What `token` says. Raises TokenRefused, or KeysUnavailable if there is no verdict."""
        verified = self._verifier.verify_if_known(token)
        if verified is not None:
            return verified
        try:
            return self._asking(token).result()
        except CancelledError:
            raise KeysUnavailable("the verifier was closed meanwhile") from None

    def _asking(self, token: str) -> Future[VerifiedToken]:
        # In this order: a fork may have a lock that nobody is there to release.
        if self._thread.is_alive():
            with self._door:
                if self._is_open:
                    return asyncio.run_coroutine_threadsafe(self._verifier.verify(token), self._loop)
        # Nobody would ever answer, nor fetch keys.
        raise RuntimeError("the verifier is not open: enter it with `with`, in each process that verifies")

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_open = True
        try:
            asyncio.run_coroutine_threadsafe(self._stack.enter_async_context(self._keys), self._loop).result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result()
        finally:
            self._stop()

    def _stop(self) -> None:
        with self._door:
            self._is_open = False
        # Or threads that wait for the key source would wait for ever.
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
