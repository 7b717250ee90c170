"""A real Envoy turns JSON into gRPC, with nothing but the descriptors that the service gives away."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.rpc.conftest import Start
from tests.support.gateways import AUTH_GRPC, AUTH_HTTP, TRANSCODING, gateway, why_not

pytestmark = pytest.mark.skipif(bool(why_not(TRANSCODING)), reason=f"left out: {why_not(TRANSCODING)}")


@pytest.fixture
async def through_envoy(start: Start, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    service = await start()
    descriptors = tmp_path / "auth.binpb"
    async with service.http.get("/descriptors.binpb") as answer:
        descriptors.write_bytes(await answer.read())
    upstreams = {AUTH_HTTP: [str(service.where.http)], AUTH_GRPC: [str(service.where.grpc)]}
    changes = {"proto_descriptor: /etc/envoy/auth.binpb": [f"proto_descriptor: {descriptors}"]}
    async with (
        gateway(TRANSCODING, upstreams=upstreams, changes=changes) as running,
        aiohttp.ClientSession(f"http://{running.address}", timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        yield http


async def post(http: aiohttp.ClientSession, method: str, body: object, **headers: str) -> tuple[int, Any]:
    async with http.post(f"/auth_api.v1.{method}", json=body, headers=headers) as answer:
        body = await answer.text()
        return answer.status, json.loads(body) if body.startswith("{") else body


@pytest.mark.row("A17/REST")
async def test_json_becomes_grpc_and_the_answer_json(through_envoy: aiohttp.ClientSession) -> None:
    status, pair = await post(
        through_envoy, "AuthService/Login", {"username": "user1001", "password": "user1001-password"}
    )
    me_status, me = await post(
        through_envoy, "UserService/GetMe", {}, Authorization=f"Bearer {pair.get('accessToken')}"
    )
    refused_status, refused = await post(
        through_envoy, "AuthService/Login", {"username": "user1001", "password": "wrong"}
    )
    unknown, said = await post(through_envoy, "AuthService/NoSuchMethod", {})

    assert (status, me_status) == (200, 200), (pair, me)
    assert me["user"]["username"] == "user1001"
    assert refused_status == 401, refused
    assert refused["details"][0]["reason"] == "BAD_CREDENTIALS"
    assert unknown == 404, said
    async with through_envoy.get("/.well-known/jwks.json") as answer:
        assert answer.status == 200
