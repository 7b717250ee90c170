"""The stand-in facility's server: the REST of UOWS, the GraphQL of Proposal Allocations, and a switch for faults."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from aiohttp import web
from graphql import GraphQLSchema, build_schema, graphql

from auth_service.demo import faults
from auth_service.demo.people import Member, newcomers

_SCHEMA = """
type Query { proposals(filter: ProposalFilter!): [Proposal!] }
input ProposalFilter { un: String!, facilities: [String!]!, includeWithdrawn: Boolean = false }
type Proposal { referenceNumber: String! }
"""
_FAULTS = "/_faults"


class Facility:
    """What the facility knows, how it misbehaves (`fault`: path prefix -> mode of `faults`), and what it was asked.

    `hits` counts requests per path, `/v1/role/1001` under `/v1/role`; `busiest` is the most that were open at once.
    With a key or token set, requests without it are refused.
    """

    def __init__(self, *, uows_api_key: str | None, allocations_token: str | None) -> None:
        self.url = ""
        self.hits: Counter[str] = Counter()
        self.busiest = 0
        self._uows_api_key = uows_api_key
        self._allocations_token = allocations_token
        self._members: dict[str, Member] = {}
        self._schema: GraphQLSchema = build_schema(_SCHEMA)
        self._open = 0
        self._fault: dict[str, str] = {}
        self._fault_taken_back = asyncio.Event()
        self._hit = asyncio.Condition()

    def knows(
        self,
        name: str,
        password: str,
        *,
        number: int,
        roles: Sequence[str] = (),
        experiments: Sequence[int | str] = (),
        display_name: str | None = None,
        writes_number_as_text: bool = False,
    ) -> None:
        """Adds a person, or changes the one of that name."""
        self._add(
            Member(
                name=name,
                password=password,
                number=number,
                display_name=name if display_name is None else display_name,
                roles=tuple(roles),
                experiments=tuple(str(experiment) for experiment in experiments),
                writes_number_as_text=writes_number_as_text,
            )
        )

    def _add(self, member: Member) -> None:
        self._members[member.name] = member

    @property
    def fault(self) -> Mapping[str, str]:
        """Assign a new mapping to change it: requests that hang by the former faults go on then."""
        return MappingProxyType(self._fault)

    @fault.setter
    def fault(self, modes: Mapping[str, str]) -> None:
        for mode in modes.values():
            if not faults.is_fault(mode):
                raise ValueError(f"no such fault: {mode}")
        self._fault = dict(modes)
        self._fault_taken_back.set()
        self._fault_taken_back = asyncio.Event()

    async def was_asked(self, path: str, *, times: int = 1) -> None:
        """Waits until `path` was requested so often in all."""
        async with self._hit:
            await self._hit.wait_for(lambda: self.hits[path] >= times)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._counted, self._faulty])
        application.add_routes(
            [
                web.post("/v1/sessions", self._start_session),
                web.get("/v1/basic-person-details", self._details),
                web.get("/v1/role/{number}", self._roles),
                web.post("/graphql", self._graphql),
                web.put(_FAULTS, self._switch_faults),
            ]
        )
        return application

    @web.middleware
    async def _counted(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        path = "/v1/role" if request.path.startswith("/v1/role/") else request.path
        async with self._hit:
            self.hits[path] += 1
            self._hit.notify_all()
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        try:
            return await handler(request)
        finally:
            self._open -= 1

    @web.middleware
    async def _faulty(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        modes = [mode for prefix, mode in self._fault.items() if request.path.startswith(prefix)]
        if modes and request.path != _FAULTS:
            answer = await faults.answer(modes[0], request, taken_back=self._fault_taken_back)
            if answer is not None:
                return answer
        return await handler(request)

    async def _switch_faults(self, request: web.Request) -> web.Response:
        modes = await _json(request)
        if not isinstance(modes, dict) or not all(isinstance(mode, str) for mode in modes.values()):
            raise web.HTTPBadRequest(text='expected {"path prefix": "mode"}')
        try:
            self.fault = modes
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response(modes)

    async def _start_session(self, request: web.Request) -> web.Response:
        credentials = await _json(request)
        if not isinstance(credentials, dict):
            raise web.HTTPBadRequest
        member = self._members.get(str(credentials.get("username")))
        if member is None or member.password != credentials.get("password"):
            raise web.HTTPUnauthorized
        user_id = str(member.number) if member.writes_number_as_text else member.number
        return web.json_response({"userId": user_id}, status=HTTPStatus.CREATED)

    async def _details(self, request: web.Request) -> web.Response:
        self._check_uows_key(request)
        member = self._numbered(request.query.get("userNumbers", ""))
        return web.json_response([] if member is None else [{"displayName": member.display_name}])

    async def _roles(self, request: web.Request) -> web.Response:
        self._check_uows_key(request)
        member = self._numbered(request.match_info["number"])
        return web.json_response([] if member is None else [{"name": role} for role in member.roles])

    async def _graphql(self, request: web.Request) -> web.Response:
        token = self._allocations_token
        if token is not None and request.headers.get("Authorisation") != f"token {token}":
            raise web.HTTPForbidden
        question = await _json(request)
        if not isinstance(question, dict):
            raise web.HTTPBadRequest
        result = await graphql(
            self._schema,
            str(question.get("query")),
            root_value={"proposals": self._proposals},
            variable_values=question.get("variables"),
        )
        return web.json_response(result.formatted)

    def _proposals(self, _: object, filter: dict[str, Any]) -> list[dict[str, str]]:  # noqa: A002 - GraphQL's name.
        member = self._numbered(filter["un"])
        if member is None or "ISIS" not in filter["facilities"]:
            return []
        return [{"referenceNumber": experiment} for experiment in member.experiments]

    def _check_uows_key(self, request: web.Request) -> None:
        key = self._uows_api_key
        if key is not None and request.headers.get("Authorization") != f"Api-key {key}":
            raise web.HTTPUnauthorized

    def _numbered(self, number: str) -> Member | None:
        return next((member for member in self._members.values() if str(member.number) == number), None)


async def _json(request: web.Request) -> object:
    try:
        body: object = json.loads(await request.read())
    except ValueError as error:
        raise web.HTTPBadRequest from error
    return body


@asynccontextmanager
async def running_facility(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    uows_api_key: str | None = None,
    allocations_token: str | None = None,
) -> AsyncIterator[Facility]:
    """A facility that listens at `facility.url`, on a free port unless told otherwise, and knows the newcomers."""
    facility = Facility(uows_api_key=uows_api_key, allocations_token=allocations_token)
    for member in newcomers():
        facility._add(member)
    runner = web.AppRunner(
        facility.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1, handle_signals=False
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        facility.url = f"http://{host}:{runner.addresses[0][1]}"
        yield facility
    finally:
        # Whoever hangs is let go, or closing would wait for them.
        facility.fault = {}
        await runner.cleanup()
