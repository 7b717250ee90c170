"""What every stream of ours shares: it ends with the server, at a certain age, and when its reader is too slow.

A stream is a method that yields messages. Each is written before the next is asked for, so that nothing piles up here;
a reader that does not take one message within `patience` is turned away. It learns of that behind the message that it
left unread, which gRPC holds until then; so does its place among those that the method admits, or a stranger could have
any number of messages held.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from random import uniform
from typing import Any

from auth_service.domain.errors import Overloaded
from auth_service.rpc.call import Context, Handler
from auth_service.rpc.errors import refuse

Stream = Callable[[Any, Context], AsyncGenerator[Any, None]]

LONGEST = timedelta(minutes=25)
"""Less than a connection's age (`rpc.server.OPTIONS`), so that most streams end well and not with their connection."""


class _ReadTooSlowly(Exception):
    pass


class Streams:
    """`leave` ends all that are there, with OK: whoever listens calls again, and reaches a server that stays."""

    def __init__(self, *, patience: timedelta, longest: timedelta = LONGEST) -> None:
        self._patience = patience
        self._longest = longest
        self._ends: set[asyncio.Timeout] = set()
        self._is_leaving = False
        self._unread = 0

    @property
    def unread(self) -> int:
        """Streams that were turned away and have not taken that yet."""
        return self._unread

    def leave(self) -> None:
        self._is_leaving = True
        for end in self._ends:
            # One that has expired in this very turn cannot be told again.
            if not end.expired():
                end.reschedule(0)

    def answering(self, stream: Stream) -> Handler:
        """`stream` as a handler that writes its messages itself, so that interceptors see one call and its end."""

        async def answer(request: object, context: Context) -> None:
            # Not all at one moment, if all began at one.
            age = self._longest.total_seconds() * uniform(0.8, 1.0)  # noqa: S311 -- jitter, not a secret
            # One timeout, and no task beside this one: there may be thousands of streams.
            end = asyncio.timeout(0 if self._is_leaving else age)
            async with aclosing(stream(request, context)) as messages:
                try:
                    async with end:
                        await self._until_its_end(end, messages, context)
                except TimeoutError:
                    if not end.expired():
                        raise
                except _ReadTooSlowly:
                    # In here, where the stream still counts as one.
                    await self._turn_away(context)

        return answer

    async def _until_its_end(self, end: asyncio.Timeout, messages: AsyncGenerator[Any, None], context: Context) -> None:
        self._ends.add(end)
        try:
            await self._write(messages, context)
        finally:
            # Here and not later: whoever is being turned away has no end any more that `leave` could bring forward.
            self._ends.discard(end)

    async def _write(self, messages: AsyncGenerator[Any, None], context: Context) -> None:
        has_begun = False
        async for message in messages:
            if not has_begun:
                # The headers alone: gRPC would send them with the first message, and once more with a status that comes
                # before that is written. It refuses to, and the reader would never be told.
                await context.send_initial_metadata(())
                has_begun = True
            try:
                async with asyncio.timeout(self._patience.total_seconds()):
                    await context.write(message)
            except TimeoutError as error:
                raise _ReadTooSlowly from error

    async def _turn_away(self, context: Context) -> None:
        self._unread += 1
        try:
            await refuse(context, Overloaded("this stream is read too slowly"))
        finally:
            self._unread -= 1
