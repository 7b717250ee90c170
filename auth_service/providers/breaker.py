"""A circuit breaker: stop asking a system that keeps failing, and look now and then whether it is back.

It counts and times; it neither calls nor retries.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from auth_service.domain.errors import BadCredentials, ProviderUnavailable, Unavailable

log = structlog.get_logger()

PATIENCE = timedelta(milliseconds=750)
"""Below the second that many clients give a login, a part of which is gone before anybody is asked."""

_SHORTEST_RETRY = timedelta(seconds=1)


class UnusableForOne(Exception):
    """The system answered, complete and well-formed, but what it says of this one person cannot be used.

    That is no word on the system: one stranger's odd name or one broken record must not shut everybody out.
    """


class Breaker:
    """Opens after `failures` consecutive failures; then lets one probe through every `probe_every`.

    A call that its caller abandons after `patience` is a failure. `clock` gives seconds on any monotonic scale.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        probe_every: timedelta = timedelta(seconds=10),
        patience: timedelta = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._limit = failures
        self._probe_every = probe_every.total_seconds()
        self._patience = patience.total_seconds()
        self._clock = clock
        self._failures = 0
        self._next_probe_at: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are being refused. A probe under way leaves it open until the verdict."""
        return self._next_probe_at is not None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Runs the block as one call to the system, and learns from how it ends.

        Unavailable is a failure, and so is a cancellation after `patience`: clients with short deadlines would never
        learn otherwise. A good answer and BadCredentials are successes; anything else says nothing of the system, but
        UnusableForOne shows a probe that it is back. Raises ProviderUnavailable at once while the breaker is open.
        """
        is_probe = self._admit()
        began = self._clock()
        try:
            yield
        except Unavailable as error:
            self._failed(is_probe)
            if self._next_probe_at is not None:
                error.retry_after = max(error.retry_after, self._until(self._next_probe_at))
            raise
        except BadCredentials:
            self._succeeded(is_probe)
            raise
        except UnusableForOne:
            if is_probe:
                self._succeeded(is_probe)
            raise
        except BaseException as error:
            was_in_vain = isinstance(error, asyncio.CancelledError) and self._clock() - began >= self._patience
            if is_probe or was_in_vain:
                self._failed(is_probe)
            raise
        self._succeeded(is_probe)

    def _admit(self) -> bool:
        """Whether the call is a probe."""
        if self._next_probe_at is None:
            return False
        now = self._clock()
        if self._is_probing or now < self._next_probe_at:
            raise ProviderUnavailable(
                f"{self.name} is not answering", retry_after=max(self._until(self._next_probe_at), _SHORTEST_RETRY)
            )
        self._is_probing = True
        self._next_probe_at = now + self._probe_every
        return True

    def _until(self, moment: float) -> timedelta:
        return timedelta(seconds=max(0.0, moment - self._clock()))

    def _failed(self, is_probe: bool) -> None:
        if is_probe:
            # However it ended, the next one is due when it is due: an interval after this one began.
            self._is_probing = False
            return
        if self.is_open:
            # A call from before the breaker opened: known already, and no reason to put the next probe off.
            return
        self._failures += 1
        if self._failures >= self._limit:
            self._next_probe_at = self._clock() + self._probe_every
            log.warning("provider refused from now on", provider=self.name, failures=self._failures)

    def _succeeded(self, is_probe: bool) -> None:
        if self.is_open and not is_probe:
            # A call from before the breaker opened proves nothing of now.
            return
        if is_probe:
            log.info("provider answers again", provider=self.name)
        self._is_probing = False
        self._next_probe_at = None
        self._failures = 0
