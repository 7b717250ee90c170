"""Guarded ASGI and FastAPI applications, on loopback; the verdicts are those of the gRPC guards."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aiohttp
import pytest
import uvicorn
from auth_client import (
    SIGNED_IN,
    FixedKeys,
    KeysUnavailable,
    Right,
    TokenVerifier,
    VerifiedToken,
    asgi,
    caller,
    role,
    scope,
)
from auth_client.fastapi import Bearer
from fastapi import Depends, FastAPI

from tests.client.minting import AUDIENCE, ISSUER, NOW, key_set, token
from tests.support.conditions import eventually

INVALID = 'Bearer error="invalid_token", error_description="the access token is not valid"'
EXPIRED = 'Bearer error="invalid_token", error_description="the access token has expired"'
LACKING = 'Bearer error="insufficient_scope"'


class NoKeys(FixedKeys):
    def current(self) -> Any:
        raise KeysUnavailable("there are none")


def verifier(keys: FixedKeys | None = None) -> TokenVerifier:
    return TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys or FixedKeys(key_set()), clock=lambda: NOW)


async def greeting(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that greets its caller."""
    try:
        name = caller().username
    except LookupError:
        name = "nobody"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"hello {name}".encode()})


def guarded(keys: FixedKeys | None, right: Right) -> Any:
    return asgi.Guard(greeting, verifier(keys), right=right, public={"/health"})


def with_fastapi(keys: FixedKeys | None, right: Right) -> Any:
    app = FastAPI()
    knows = Bearer(verifier(keys), right)

    @app.get("/", response_model=None)
    async def greet(person: Annotated[VerifiedToken, Depends(knows)]) -> str:
        return f"hello {person.username}"

    @app.get("/health", response_model=None)
    async def health() -> str:
        return "hello nobody"

    return app


KINDS = [guarded, with_fastapi]


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[aiohttp.ClientSession]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        yield http
    server.should_exit = True
    await serving


async def told(http: aiohttp.ClientSession, *authorization: str, path: str = "/") -> tuple[int, str, str]:
    """The status, the challenge and the reason of the answer."""
    headers = [("Authorization", each) for each in authorization]
    async with http.get(path, headers=headers) as reply:
        body = json.loads(await reply.text()) if reply.status != 200 else {}
        return reply.status, reply.headers.get("WWW-Authenticate", ""), body.get("detail", body).get("reason", "")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_caller_is_known(kind: Any) -> None:
    async with (
        served(kind(None, SIGNED_IN)) as http,
        http.get("/", headers={"Authorization": f"bearer {token()}"}) as reply,
    ):
        assert reply.status == 200
        assert "hello ada" in await reply.text()


@pytest.mark.parametrize("kind", KINDS)
async def test_refusals_are_those_of_rfc_6750(kind: Any) -> None:
    good, late = f"Bearer {token()}", f"Bearer {token(exp=NOW - 600, iat=NOW - 1200)}"
    async with served(kind(None, SIGNED_IN)) as http:
        assert await told(http) == (401, "Bearer", "CREDENTIALS_MISSING")
        assert await told(http, "Basic YWRhOng=") == (401, "Bearer", "CREDENTIALS_INVALID")
        assert await told(http, good, good) == (401, "Bearer", "CREDENTIALS_INVALID")
        assert await told(http, "Bearer x") == (401, INVALID, "TOKEN_INVALID")
        assert await told(http, late) == (401, EXPIRED, "TOKEN_EXPIRED")
        assert await told(http, path=f"/?access_token={token()}") == (401, "Bearer", "CREDENTIALS_MISSING")


@pytest.mark.parametrize("kind", KINDS)
async def test_rights_are_those_of_the_grpc_guards(kind: Any) -> None:
    async with served(kind(None, role("staff") | scope("scans:read"))) as http:
        assert await told(http, f"Bearer {token()}") == (403, LACKING, "PERMISSION_DENIED")
        assert (await told(http, f"Bearer {token(roles=['staff'])}"))[0] == 200
        assert (await told(http, f"Bearer {token(roles=[], scope='scans:read')}"))[0] == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_without_keys_it_is_unavailable(kind: Any) -> None:
    async with (
        served(kind(NoKeys(key_set()), SIGNED_IN)) as http,
        http.get("/", headers={"Authorization": f"Bearer {token()}"}) as reply,
    ):
        assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_public_path_knows_nobody(kind: Any) -> None:
    async with served(kind(None, SIGNED_IN)) as http:
        for headers in ({}, {"Authorization": f"Bearer {token()}"}):
            async with http.get("/health", headers=headers) as reply:
                assert "hello nobody" in await reply.text()


@pytest.mark.parametrize("path", ["/health/", "/Health", "//health", "/health/../secret", "/health%2f"])
async def test_only_the_very_path_is_public(path: str) -> None:
    answers: list[Any] = []
    await guarded(None, SIGNED_IN)({"type": "http", "path": path, "headers": []}, None, _into(answers))

    assert answers[0]["status"] == 401


async def test_a_web_socket_is_refused_before_it_opens() -> None:
    async def wish() -> dict[str, str]:
        return {"type": "websocket.connect"}

    plain: list[Any] = []
    able: list[Any] = []
    app = guarded(None, SIGNED_IN)
    asked = {"type": "websocket", "path": "/", "headers": []}
    await app(asked, wish, _into(plain))
    await app(asked | {"extensions": {"websocket.http.response": {}}}, wish, _into(able))

    assert plain == [{"type": "websocket.close", "code": 1008}]
    assert [each["type"] for each in able] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert able[0]["status"] == 401


async def test_what_is_no_request_passes_through() -> None:
    answers: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send(scope["type"])

    await asgi.Guard(app, verifier())({"type": "lifespan"}, None, _into(answers))  # type: ignore[arg-type] # Not asked.

    assert answers == ["lifespan"]


async def test_the_schema_says_that_a_token_is_needed() -> None:
    schema = with_fastapi(None, SIGNED_IN).openapi()

    assert schema["components"]["securitySchemes"] == {
        "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert schema["paths"]["/"]["get"]["security"] == [{"Bearer": []}]


def _into(answers: list[Any]) -> Any:
    async def send(message: Any) -> None:
        answers.append(message)

    return send
