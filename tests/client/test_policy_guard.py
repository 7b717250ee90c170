"""An ASGI application that obeys the gateways' policy itself."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from auth_client import FixedKeys, asgi
from yarl import URL

from tests.client.minting import key_set, token
from tests.client.test_web import NoKeys, greeting, served, verifier
from tests.support.conditions import eventually

POLICY = {
    "levels": {"admin": 0},
    "rules": [
        {"public": True, "locations": ["/open/*"]},
        {"signed_in": True, "methods": ["GET"], "locations": ["/me"]},
        {"level": 0, "locations": ["/admin/*"]},
    ],
}


def guarded(file: Path, *, keys: FixedKeys | None = None, app: Any = greeting) -> asgi.PolicyGuard:
    policies = asgi.PolicyFile(file)
    policies.load()
    return asgi.PolicyGuard(app, verifier(keys), policies)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(POLICY))
    return path


@pytest.fixture
async def http(file: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(guarded(file)) as http:
        yield http


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def ask(http: aiohttp.ClientSession, path: str, *, bearer: str = "", method: str = "GET") -> tuple[int, str]:
    """Status and body; `path` goes out as it is."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with http.request(method, URL(path, encoded=True), headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.row("D3")
async def test_the_file_decides_and_the_application_knows_who_calls(http: aiohttp.ClientSession) -> None:
    assert await ask(http, "/open/x") == (200, "hello nobody")
    assert await ask(http, "/open/x", bearer="x.y.z") == (200, "hello nobody")
    assert await ask(http, "/open/x", bearer=token()) == (200, "hello ada")
    assert await ask(http, "/me?x=1", bearer=token()) == (200, "hello ada")
    assert await ask(http, "/admin/x", bearer=token(roles=["admin"])) == (200, "hello ada")
    for path, bearer, method, status in (
        ("/me", "", "GET", 401),
        ("/me", "x.y.z", "GET", 401),
        ("/me", token(), "POST", 403),
        ("/admin/x", token(), "GET", 403),
        ("/nowhere", token(roles=["admin"]), "GET", 403),
        ("/open/%2e%2e/admin", token(roles=["admin"]), "GET", 403),
        ("/open/%2Fx", "", "GET", 401),
        ("/open/x;y", "", "GET", 401),
    ):
        assert (await ask(http, path, bearer=bearer, method=method))[0] == status, path


@pytest.mark.row("D3")
async def test_a_changed_file_counts_while_requests_come(
    http: aiohttp.ClientSession, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "_LOOK_EVERY", 0.0)

    async def is_open() -> bool:
        return (await ask(http, "/new"))[0] == 200

    assert not await is_open()
    write(file, '{"rules": [{"public": true, "locations": ["/new"]}]}')
    await eventually(is_open)
    write(file, "{")
    for _ in range(5):
        assert await is_open()


async def test_without_keys_only_public_places_are_open(file: Path) -> None:
    async with served(guarded(file, keys=NoKeys(key_set()))) as http:
        assert (await ask(http, "/open/x", bearer=token()))[0] == 200
        assert (await ask(http, "/me", bearer=token()))[0] == 503


@pytest.mark.row("S65")
async def test_a_path_that_somebody_rewrote_on_the_way_is_nobodys(file: Path) -> None:
    """The application routes by `path`; a policy that looked at another one would guard nothing."""
    guard = guarded(file)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for path, raw, status in (
        ("/open/x", b"/open/x", 200),
        ("/open/x", None, 200),
        ("/admin/x", b"/open/x", 401),
        ("/open/a b", None, 200),
        ("/open/../x", None, 401),
    ):
        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        await guard(scope if raw is None else scope | {"raw_path": raw}, None, send)  # type: ignore[arg-type]  # not read
        assert sent[-2]["status"] == status, (path, raw)
