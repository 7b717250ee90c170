"""Connections of the HTTP door: how long a client may keep one waiting, and which has to go when there are too many.

Left to itself uvicorn waits for ever for the rest of a request, and for whoever does not read its answer.
"""

import asyncio
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 1000
MOST_AT_WORK = 900
"""Of them. The rest is for what is answered at any time, such as the key set."""


class Waits(Enum):
    """What a connection waits for."""

    REQUEST = "the first line and the headers of a request"
    BODY = "the rest of a request"
    READER = "the client, which does not take what it is sent"
    NEXT = "whether another request comes"
    NOTHING = "the request is here, and is being answered"


READING_SECONDS = 20.0
"""For taking what was sent: what is under way over a network, and beyond the 64 KiB that are kept here."""
PATIENCE = {Waits.REQUEST: 10.0, Waits.BODY: 20.0, Waits.READER: READING_SECONDS, Waits.NEXT: 75.0}
"""Seconds, for the whole of it: what drips in does not buy more time."""


class Crowd:
    """All connections of a server. `look` now and then."""

    def __init__(self) -> None:
        self.here: set[Connection] = set()
        self.at_work = 0

    @property
    def is_busy(self) -> bool:
        return self.at_work > MOST_AT_WORK

    def look(self, now: float) -> None:
        """Hang up on those that were waited for long enough."""
        for each in self.here:
            if each.is_late(now):
                each.transport.abort()

    def make_room(self, now: float) -> None:
        """Where one more is too many, hang up on the one that has used up most of our patience, if we wait for any."""
        if len(self.here) < MOST_CONNECTIONS:
            return
        waiting = [each for each in self.here if each.waits is not Waits.NOTHING]
        if waiting:
            longest = max(waiting, key=lambda each: each.patience_used(now))
            # At once, for it hears of its end only in the loop's next turn, and others may come in this one.
            self.here.discard(longest)
            longest.transport.abort()


class Connection(H11Protocol):
    """One that `crowd` may lose patience with."""

    def __init__(self, *uvicorns: Any, crowd: Crowd, **own: Any) -> None:
        super().__init__(*uvicorns, **own)
        self._crowd = crowd
        self._since = self.loop.time()
        self._unread_since: float | None = None
        self.waits = Waits.REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self._crowd.make_room(self._since)
        self._crowd.here.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(Waits.REQUEST)
        self._crowd.here.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.waits is Waits.NEXT:
            self._wait(Waits.REQUEST)
        super().data_received(data)
        self._look_at_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_at_request()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look_at_request()

    def on_response_complete(self) -> None:
        self._wait(Waits.NEXT)
        super().on_response_complete()
        # Another request may have been here already.
        self._look_at_request()

    def _should_upgrade(self) -> bool:
        # To nothing, and without a warning in the log for each stranger who would like to.
        return False

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says of a request that cannot be read; of one whose body cannot, an answer may be on its way."""
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever answers it learns that there is nobody to answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def is_late(self, now: float) -> bool:
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        is_unread = self._unread_since is not None and now - self._unread_since > READING_SECONDS
        return is_unread or self.patience_used(now) > 1

    def patience_used(self, now: float) -> float:
        """From 0 to 1; more once it is over."""
        return 0.0 if self.waits is Waits.NOTHING else (now - self._since) / PATIENCE[self.waits]

    def _look_at_request(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            return
        if self.flow.write_paused:
            self._wait(Waits.READER)
        else:
            self._wait(Waits.BODY if self.cycle.more_body else Waits.NOTHING)

    def _wait(self, what: Waits) -> None:
        if what is self.waits:
            return
        self._crowd.at_work += (what is Waits.NOTHING) - (self.waits is Waits.NOTHING)
        self.waits, self._since = what, self.loop.time()
