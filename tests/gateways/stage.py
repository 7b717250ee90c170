"""The service, an application, and one gateway between it and the world; and tokens of every kind."""

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from auth_service.demo import Facility
from auth_service.domain import tokens
from tests.support.gateways import APP, AUTH_GRPC, AUTH_HTTP, DEPLOY, Gateway, Recipe, gateway
from tests.support.raw_http import Application, Headers, Reply, running_application, send
from tests.support.service import Service, running_service
from tests.support.tcp_proxy import Proxy

SETTINGS = {
    "policy_file": str(DEPLOY / "policy.json"),
    "path_prefix": "/auth",
    "cookie_path": "/",
    # What the recipe for jwt_authn names.
    "issuer": "https://auth.example.org/auth",
    "audience": "auth-service",
    "trusted_proxies": "127.0.0.1/32",
}
"""As the recipes ask for."""
PERSON, STAFF = "user1001", "staff1002"


@dataclass(slots=True)
class Stage:
    service: Service
    application: Application
    gateway: Gateway
    networks: tuple[Proxy, ...]
    """Between the gateway and the service's two doors."""
    _tokens: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, target: str, *more: tuple[str, str], token: str = "", method: str = "GET", body: bytes = b""
    ) -> Reply:
        headers: Headers = [*more, *([("Authorization", f"Bearer {token}")] if token else [])]
        return await send(self.gateway.address, target, method=method, headers=headers, body=body)

    async def token(self, username: str = PERSON) -> str:
        """An access token, the same one each time."""
        if username not in self._tokens:
            self._tokens[username] = (await self.service.login(username)).access_token
        return self._tokens[username]

    async def signed(self, **claims: Any) -> str:
        """A token that the service's key has signed, with these claims instead of right ones."""
        kid, key = await self.service.private_key()
        return tokens.mint(claims_of(await self.token()) | claims, kid=kid, private_key=key)

    async def forged(self) -> str:
        """Signed by a key of somebody else, who says that it is the service's."""
        kid, _ = await self.service.private_key()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return tokens.mint(claims_of(await self.token()), kid=kid, private_key=key)

    async def browser(self, *headers: tuple[str, str]) -> dict[str, str]:
        """Cookies, of somebody who signed in through the gateway."""
        credentials = json.dumps({"username": PERSON, "password": f"{PERSON}-password"}).encode()
        content = ("Content-Type", "application/json")
        reply = await self.ask("/auth/session", content, *headers, method="POST", body=credentials)
        assert reply.status == 200, reply
        return reply.cookies

    async def browser_after_a_while(self) -> dict[str, str]:
        """The same, when the access token is over."""
        return await self.browser() | {"access_token": await self.signed(exp=int(time.time()) - 600)}


def cookie(cookies: Mapping[str, str]) -> tuple[str, str]:
    return "Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@asynccontextmanager
async def stage(recipe: Recipe, database_url: str, *, facility: Facility, data_dir: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        service = await enter(
            running_service(database_url, facility=facility, data_dir=data_dir, waits=True, **SETTINGS)
        )
        application = await enter(running_application())
        doors = (service.where.http, service.where.grpc)
        networks = tuple([await enter(Proxy(door.host, door.port)) for door in doors])
        http, grpc = (f"127.0.0.1:{each.port}" for each in networks)
        upstreams = {AUTH_HTTP: [http], AUTH_GRPC: [grpc], APP: [application.address]}
        yield Stage(service, application, await enter(gateway(recipe, upstreams=upstreams)), networks)
