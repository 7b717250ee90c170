"""Behind real gateways: what it adds to a request that somebody is asked whether it may pass.

One client, one request after another on one connection, to an application that answers at once; through the gateway of
deploy/, and through the same one that asks nobody, in turns.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

from bench.figures import Figure, ratios
from bench.service import Stage, running, stage
from tests.support.gateways import APP, AUTH_GRPC, AUTH_HTTP, DEPLOY, RECIPES, Gateway, gateway, why_not
from tests.support.ports import port_of, reserve_port

ROUNDS, REQUESTS = 9, 150
_ROUTE, _EXTENSION = "route: { cluster: app, timeout: 30s }", "type.googleapis.com/envoy.extensions.filters.http"
_NO_FILTER = (
    f'{{ envoy.filters.http.jwt_authn: {{ "@type": {_EXTENSION}.jwt_authn.v3.PerRouteConfig, disabled: true }},'
    f' envoy.filters.http.rbac: {{ "@type": {_EXTENSION}.rbac.v3.RBACPerRoute }} }}'
)
ASKING_NOBODY: Mapping[str, Mapping[str, Sequence[str]]] = {
    "nginx": {"auth_request /ask;": [""]},
    "Envoy, ext_authz": {_ROUTE: [f"{_ROUTE}\n{' ' * 26}typed_per_filter_config: *open #"]},
    "Envoy, jwt_authn": {_ROUTE: [f"{_ROUTE}\n{' ' * 26}typed_per_filter_config: {_NO_FILTER} #"]},
}
"""What is otherwise in the file of one that asks nobody."""
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    settings = {"policy_file": str(DEPLOY / "policy.json"), "path_prefix": "/auth", "cookie_path": "/"}
    async with (
        stage(issuer="https://auth.example.org/auth", **settings) as service,
        _application() as application,
    ):
        token = (await service.local_login()).access_token
        figures: list[Figure] = []
        for name in ASKING_NOBODY:
            if reason := why_not(RECIPES[name]):
                print(f"left out: {reason}")
                continue
            figures += await _beside_itself(name, service, application, token)
        return figures


async def _beside_itself(name: str, service: Stage, application: str, token: str) -> Sequence[Figure]:
    process = service.process
    upstreams = {AUTH_HTTP: [process.http_address], AUTH_GRPC: [process.grpc_address], APP: [application]}
    async with (
        gateway(RECIPES[name], upstreams=upstreams) as asking,
        gateway(RECIPES[name], upstreams=upstreams, changes=ASKING_NOBODY[name]) as silent,
    ):
        sides: dict[str, list[float]] = {"asking": [], "silent": []}
        for is_warm in (False, *[True] * ROUNDS):
            for side, each in (("asking", asking), ("silent", silent)):
                median = await _p50(each, token)
                if is_warm:
                    sides[side].append(median)
        await _holds(asking, silent)
    asked, not_asked = sides["asking"], sides["silent"]
    added = tuple(more - less for more, less in zip(asked, not_asked, strict=True))
    raw = {side: tuple(each) for side, each in sides.items()}
    return (
        Figure(f"{name} : the same asking nobody, p50", ratios(asked, not_asked), raw=raw),
        Figure(f"{name}, added to a request, p50", added, unit="s"),
    )


async def _p50(each: Gateway, token: str) -> float:
    """Seconds, of requests one after another."""
    host, _, port = each.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = f"GET /me HTTP/1.1\r\nHost: {each.address}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    took = []
    for _ in range(REQUESTS):
        began = perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        took.append(perf_counter() - began)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{each.recipe.name} answered {head!r}")
    writer.close()
    return statistics.median(took)


async def _holds(asking: Gateway, silent: Gateway) -> None:
    """Raises RuntimeError unless one of them lets strangers in and the other does not."""
    for each, expected in ((asking, b" 401 "), (silent, b" 200 ")):
        host, _, port = each.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /me HTTP/1.1\r\nHost: a\r\n\r\n")
        status = await reader.readline()
        writer.close()
        if expected not in status:
            raise RuntimeError(f"{each.recipe.name} was not what it should be: {status!r}")


@asynccontextmanager
async def _application() -> AsyncIterator[str]:
    with reserve_port() as held:
        port = port_of(held)
    async with running("bench.gateways", str(port)):
        yield f"127.0.0.1:{port}"


class _Application(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # Gateways send the requests that are measured in one piece.
        self._transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Application, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
