"""What the clients of both asyncio stacks share: every method, and how often it is tried. How to send is theirs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Any, Self, TypeVar

from . import calls
from .answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from .errors import AuthError
from .keys import KeySet

_Answer = TypeVar("_Answer")


class AsyncClient(ABC):
    """One channel to the service; share it. Every method raises AuthError. `deadline` replaces each method's own."""

    def __init__(self, *, deadline: timedelta | None) -> None:
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None: ...

    async def login(self, username: str, password: str, *, new_password: str = "") -> TokenPair:
        """Sign a person in, and change their password if there is a new one. Never sent twice."""
        return await self._call(calls.login(username, password, new_password=new_password))

    async def login_service(self, api_key: str) -> ServiceToken:
        """A short access token for a service. There is nothing to refresh: the key buys the next one."""
        return await self._call(calls.login_service(api_key))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend `refresh_token`. If the answer was lost, repeating the call within seconds gives the same answer."""
        return await self._call(calls.refresh(refresh_token))

    async def logout(self, refresh_token: str) -> None:
        """End the session. Fine to repeat."""
        await self._call(calls.logout(refresh_token))

    async def verify(self, token: str) -> CheckedToken:
        """Ask the service about an access token, which also knows of sessions that ended a moment ago."""
        return await self._call(calls.verify(token))

    async def list_experiments(
        self, user_number: int, *, credential: str, page_size: int = 0
    ) -> AsyncIterator[Experiment]:
        """The person's experiments in ascending order, fetched page by page while you iterate.

        `credential` is an access token or an API key. Each page has its own deadline.
        """
        page_token = ""
        while True:
            page = await self._call(
                calls.experiments_page(user_number, credential=credential, page_size=page_size, page_token=page_token)
            )
            for experiment in page.experiments:
                yield experiment
            page_token = page.next_page_token
            if not page_token:
                return

    async def get_jwks(self) -> KeySet:
        return await self._call(calls.get_jwks())

    async def get_server_info(self) -> ServerInfo:
        return await self._call(calls.get_server_info())

    async def _call(self, call: calls.Call[_Answer]) -> _Answer:
        ends = monotonic() + (self._deadline or call.deadline).total_seconds()
        for attempt in count(1):
            try:
                reply = await self._send(call, timeout=ends - monotonic())
            except AuthError as failure:
                wait = calls.pause(call, failure, attempt=attempt, left=ends - monotonic())
                if wait is None:
                    raise
            else:
                return call.unpack(reply)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    @abstractmethod
    async def _send(self, call: calls.Call[Any], *, timeout: float) -> Any:
        """The service's reply, within so many seconds. Raises AuthError."""
        ...
