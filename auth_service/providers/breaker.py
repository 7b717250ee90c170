"""A circuit breaker: stop asking a system that keeps failing, and look now and then whether it is back.

It counts and times; it neither calls nor retries.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from auth_service.domain.errors import BadCredentials, ProviderUnavailable, Unavailable

log = structlog.get_logger()

_SHORTEST_RETRY = timedelta(seconds=1)


class Breaker:
    """Opens after `failures` consecutive failures; then lets one probe through every `probe_every`.

    `clock` gives seconds on any monotonic scale.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        probe_every: timedelta = timedelta(seconds=10),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._limit = failures
        self._probe_every = probe_every.total_seconds()
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

        Unavailable is a failure; a good answer and BadCredentials are successes; anything else, such as the caller's
        cancellation, says nothing of the system. Raises ProviderUnavailable at once while the breaker is open.
        """
        is_probe = self._admit()
        try:
            yield
        except Unavailable:
            self._failed(is_probe)
            raise
        except BadCredentials:
            self._succeeded(is_probe)
            raise
        except BaseException:
            self._ended_without_verdict(is_probe)
            raise
        self._succeeded(is_probe)

    def _admit(self) -> bool:
        """Whether the call is a probe."""
        if self._next_probe_at is None:
            return False
        now = self._clock()
        if self._is_probing or now < self._next_probe_at:
            wait = timedelta(seconds=max(0.0, self._next_probe_at - now))
            raise ProviderUnavailable(f"{self.name} is not answering", retry_after=max(wait, _SHORTEST_RETRY))
        self._is_probing = True
        self._next_probe_at = now + self._probe_every
        return True

    def _failed(self, is_probe: bool) -> None:
        if is_probe:
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

    def _ended_without_verdict(self, is_probe: bool) -> None:
        if is_probe:
            self._is_probing = False
            self._next_probe_at = self._clock()
