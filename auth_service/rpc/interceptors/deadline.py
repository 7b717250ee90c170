"""Ends work that nobody waits for any longer: every call has a deadline, its own or the server's."""

import asyncio
from datetime import timedelta

from auth_service.rpc.call import Context, Handler, Interceptor
from auth_service.rpc.errors import DeadlineExceeded


def deadline(longest: timedelta) -> Interceptor:
    """`longest` is for calls that bring no deadline, or a later one."""
    most = longest.total_seconds()

    def bounded(method: str, handler: Handler) -> Handler:
        async def answer(request: object, context: Context) -> object:
            remaining = context.time_remaining()
            timeout = asyncio.timeout(most if remaining is None else min(most, remaining))
            try:
                async with timeout:
                    return await handler(request, context)
            except TimeoutError as error:
                if timeout.expired():
                    raise DeadlineExceeded from error
                raise

        return answer

    return bounded
