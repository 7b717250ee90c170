"""Ends work that nobody waits for any longer: every call has a deadline, its own or the server's."""

import asyncio
from datetime import timedelta

from auth_service.rpc.call import Context, Handler, Interceptor
from auth_service.rpc.errors import DeadlineExceeded


def deadline(longest: timedelta) -> Interceptor:
    """`longest` is for calls that bring no deadline, or a later one."""
    alike = _Alike(longest.total_seconds())

    def bounded(method: str, handler: Handler) -> Handler:
        async def answer(request: object, context: Context) -> object:
            timeout = alike.begin() if (remaining := context.time_remaining()) is None else alike.at_most(remaining)
            try:
                async with timeout:
                    return await handler(request, context)
            except TimeoutError as error:
                if timeout.expired():
                    raise DeadlineExceeded from error
                raise
            finally:
                alike.end(timeout)

        return answer

    return bounded


class _Alike:
    """Timeouts of one length are due in the order in which they began, so that one timer does for all of them.

    Nearly every call is over long before, and a timer of its own would cost it as much as a line in the log.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Timeout:
        """A timeout to be entered at once; `end` it afterwards."""
        loop, timeout = asyncio.get_running_loop(), asyncio.timeout(None)
        self._due[timeout] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._end_those_due)
        return timeout

    def at_most(self, seconds: float) -> asyncio.Timeout:
        """As `begin`, for a call that brought a deadline."""
        return asyncio.timeout(seconds) if seconds < self._seconds else self.begin()

    def end(self, timeout: asyncio.Timeout) -> None:
        self._due.pop(timeout, None)

    def _end_those_due(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        for timeout, due in list(self._due.items()):
            if due > loop.time():
                self._timer = loop.call_at(due, self._end_those_due)
                return
            self.end(timeout)
            timeout.reschedule(due)
