"""Proposal Allocations: which experiments (RB numbers) a person is on, over GraphQL.

What it says is kept for half a minute; what it fails to say is not.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from auth_service.providers.breaker import Breaker, UnusableForOne
from auth_service.providers.upstream import Unusable, Upstream, positive_integer, session_arguments, unexpected

if TYPE_CHECKING:
    from gql.transport.aiohttp import AIOHTTPTransport

# Strict types: `String!` fits wherever the schema asks for a string, nullable or not. The facilities are ours, not a
# caller's, and a literal list fits however the schema types them.
_QUERY = """
query experiments($un: String!) {
  proposals(filter: {un: $un, facilities: %s, includeWithdrawn: false}) { referenceNumber }
}
"""


@dataclass(frozen=True, slots=True)
class _Remembered:
    experiments: tuple[int, ...]
    until: float


@dataclass(slots=True)
class _Flight:
    """One question under way, and how many callers wait for its answer."""

    task: asyncio.Task[tuple[int, ...]]
    waiting: int = 0


class Allocations:
    """Experiments by GraphQL. `header` and `token` make up the authorisation as that service spells it.

    `deadline` is for one answer, waiting for one of the `connections` included; answers are kept for `remember_for`,
    those of `remember_people` at most. `clock` gives seconds on any monotonic scale.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        header: str = "Authorisation",
        facilities: Sequence[str] = ("ISIS",),
        deadline: timedelta = timedelta(seconds=4),
        connections: int = 100,
        remember_for: timedelta = timedelta(seconds=30),
        remember_people: int = 1000,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Imported by who asks GraphQL only: gql takes 0.3 s and 5 MiB. Not at the first request, which it would stall.
        import gql.transport.aiohttp

        self._url = url
        self._headers = {header: f"token {token}", "User-Agent": "auth-service"}
        self._document = gql.gql(_QUERY % json.dumps(list(facilities))).document
        self._connections = connections
        self._upstream = Upstream("Proposal Allocations", deadline=deadline, breaker=breaker)
        self._remember_for = remember_for.total_seconds()
        self._remember_people = remember_people
        self._clock = clock
        self._remembered: OrderedDict[int, _Remembered] = OrderedDict()
        self._flights: dict[int, _Flight] = {}
        self._transport: AIOHTTPTransport | None = None
        self._connecting = asyncio.Lock()

    async def of(self, user_number: int) -> tuple[int, ...]:
        """RB numbers, ascending, each once; empty for a person without any. Raises ProviderUnavailable."""
        remembered = self._remembered.get(user_number)
        if remembered is not None and self._clock() < remembered.until:
            return remembered.experiments
        return await self._single_flight(user_number)

    async def close(self) -> None:
        for flight in list(self._flights.values()):
            flight.task.cancel()
        await self._upstream.close()
        if self._transport is not None:
            await self._transport.close()

    async def _single_flight(self, user_number: int) -> tuple[int, ...]:
        """Callers share one question per person. It outlives any of them, but not the last."""
        flight = self._flights.get(user_number)
        if flight is None:
            flight = _Flight(asyncio.create_task(self._asked(user_number)))
            self._flights[user_number] = flight
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                flight.task.cancel()
                if self._flights.get(user_number) is flight:
                    del self._flights[user_number]

    async def _asked(self, user_number: int) -> tuple[int, ...]:
        experiments = await self._upstream.ask(lambda: self._proposals(user_number))
        self._remembered[user_number] = _Remembered(experiments, self._clock() + self._remember_for)
        self._remembered.move_to_end(user_number)
        while len(self._remembered) > self._remember_people:
            self._remembered.popitem(last=False)
        return experiments

    async def _proposals(self, user_number: int) -> tuple[int, ...]:
        from gql import GraphQLRequest
        from gql.transport.exceptions import TransportConnectionFailed, TransportError

        request = GraphQLRequest(self._document, variable_values={"un": str(user_number)})
        transport = await self._connected()
        try:
            try:
                result = await transport.execute(request, extra_args={"allow_redirects": False})
            except TransportConnectionFailed as failure:
                # A question that changes nothing may be asked again, once: a kept connection may have been stale.
                if not isinstance(failure.__cause__, aiohttp.ClientConnectionError):
                    raise
                result = await transport.execute(request, extra_args={"allow_redirects": False})
        except TransportError as failure:
            # gql's own messages quote the answer.
            cause = failure.__cause__ or failure
            if isinstance(cause, UnusableForOne):
                raise UnusableForOne(str(cause)) from None
            raise Unusable(str(cause) if isinstance(cause, Unusable) else type(cause).__name__) from None
        if result.errors:
            raise UnusableForOne("GraphQL errors")
        return _experiments(result.data)

    async def _connected(self) -> "AIOHTTPTransport":
        """The transport, without gql's session on top: that asserts where we judge, and retries on its own account.

        Its HTTP session lasts as long as we do: connections are opened as needed, so a restart over there is harmless.
        """
        async with self._connecting:
            if self._transport is None:
                from gql.transport.aiohttp import AIOHTTPTransport

                # At DEBUG it logs every answer in full.
                logging.getLogger("gql.transport").setLevel(logging.WARNING)
                arguments = session_arguments(connections=self._connections, deadline=self._upstream.deadline)
                arguments["raise_for_status"] = _only_ok
                transport = AIOHTTPTransport(url=self._url, headers=self._headers, client_session_args=arguments)
                await transport.connect()
                self._transport = transport
            return self._transport


async def _only_ok(response: aiohttp.ClientResponse) -> None:
    if response.status != HTTPStatus.OK:
        raise unexpected(response.status, asked="proposals")


def _experiments(data: object) -> tuple[int, ...]:
    proposals = data.get("proposals") if isinstance(data, dict) else None
    if not isinstance(proposals, list):
        raise UnusableForOne("no list of proposals")
    return tuple(sorted({_experiment(proposal) for proposal in proposals}))


def _experiment(proposal: object) -> int:
    if not isinstance(proposal, dict):
        raise UnusableForOne("a proposal is not an object")
    return positive_integer(proposal.get("referenceNumber"))
