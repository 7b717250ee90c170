"""The User Office Web Service: checks a facility user's password and tells their name and roles, over REST.

It keeps no password and guesses nothing: only 201 and 401 to a sign-in mean something, all else is UOWS being unwell.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import aiohttp

from auth_service.domain.errors import BadCredentials
from auth_service.domain.people import Identity, Person
from auth_service.providers.breaker import Breaker, UnusableForOne
from auth_service.providers.upstream import Unusable, Upstream, positive_integer, session_arguments, unexpected

LONGEST_NAME = 255

_RETRY_PAUSE = timedelta(milliseconds=50)
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What goes wrong before the first byte of a request is out."""


class Uows:
    """An IdentityProvider. `deadline` is for a whole `authenticate` or `current_roles`.

    At most `connections` are open at once; whoever finds them busy waits within the deadline.
    """

    name = "uows"

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        deadline: timedelta = timedelta(seconds=4),
        connections: int = 100,
        breaker: Breaker | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._authorised = {"Authorization": f"Api-key {api_key}"}
        self._connections = connections
        self._upstream = Upstream("UOWS", deadline=deadline, breaker=breaker)
        self._session: aiohttp.ClientSession | None = None

    async def authenticate(self, *, username: str, password: str) -> Identity:
        """The person whose password this is. Raises BadCredentials, ProviderUnavailable."""
        return await self._upstream.ask(lambda: self._signed_in(username, password))

    async def current_roles(self, person: Person) -> frozenset[str]:
        """The person's role names in UOWS now; empty for most. Raises ProviderUnavailable."""
        number = person.user_number
        if number is None:
            return person.provider_roles
        return await self._upstream.ask(lambda: self._roles(number))

    async def close(self) -> None:
        await self._upstream.close()
        if self._session is not None:
            await self._session.close()

    async def _signed_in(self, username: str, password: str) -> Identity:
        number = await self._user_number(username, password)
        display_name, roles = await self._display_name_and_roles(number)
        return Identity(
            provider=self.name,
            subject=str(number),
            username=username,
            display_name=display_name,
            user_number=number,
            provider_roles=roles,
        )

    async def _user_number(self, username: str, password: str) -> int:
        status, body = await self._send("POST", "/v1/sessions", json={"username": username, "password": password})
        if status == HTTPStatus.UNAUTHORIZED:
            raise BadCredentials
        if status != HTTPStatus.CREATED:
            raise unexpected(status, asked="sign-in")
        answer = _json(body)
        if not isinstance(answer, dict):
            raise UnusableForOne("sign-in: not an object")
        return positive_integer(answer.get("userId"))

    async def _display_name_and_roles(self, number: int) -> tuple[str, frozenset[str]]:
        try:
            async with asyncio.TaskGroup() as both:
                display_name = both.create_task(self._display_name(number))
                roles = both.create_task(self._roles(number))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return display_name.result(), roles.result()

    async def _display_name(self, number: int) -> str:
        entries = await self._list_from("/v1/basic-person-details", params={"userNumbers": str(number)})
        if not entries:
            raise UnusableForOne("details: nobody has this user number")
        details = entries[0]
        if "userNumber" in details and positive_integer(details["userNumber"]) != number:
            raise UnusableForOne("details: somebody else's")
        return _name(details.get("displayName"))

    async def _roles(self, number: int) -> frozenset[str]:
        entries = await self._list_from(f"/v1/role/{number}")
        return frozenset(_name(entry.get("name")) for entry in entries)

    async def _list_from(self, path: str, *, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        status, body = await self._send("GET", path, params=params, headers=self._authorised)
        if status != HTTPStatus.OK:
            raise unexpected(status, asked=path.split("/")[2])
        answer = _json(body)
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise UnusableForOne(f"{path.split('/')[2]}: not a list of objects")
        return answer

    async def _send(self, method: str, path: str, **arguments: Any) -> tuple[int, bytes]:
        """Status and body. Redirects are answers like any other.

        Tried once more where it cannot have arrived, and only there: UOWS may count wrong passwords. aiohttp repeats a
        GET, never a POST, once by itself when the connection breaks.
        """
        try:
            return await self._send_once(method, path, **arguments)
        except _NEVER_SENT:
            await asyncio.sleep(_RETRY_PAUSE.total_seconds())
        return await self._send_once(method, path, **arguments)

    async def _send_once(self, method: str, path: str, **arguments: Any) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Accept": "application/json", "User-Agent": "auth-service"},
                **session_arguments(connections=self._connections, deadline=self._upstream.deadline),
            )
        async with self._session.request(method, self._url + path, allow_redirects=False, **arguments) as response:
            return response.status, await response.read()


def _json(body: bytes) -> object:
    """Raises Unusable, also for JSON nested too deeply to read."""
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Unusable("not JSON") from None
    return answer


def _name(value: object) -> str:
    """A name that a database can keep and a token can carry. Raises UnusableForOne."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        raise UnusableForOne("not a name")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise UnusableForOne("not a name")
    return value
