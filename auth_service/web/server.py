"""The HTTP server: its routes and its limits, in the loop that the gRPC server runs in."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from auth_service.web import errors
from auth_service.web.connections import PATIENCE, Connection, Crowd, Waits
from auth_service.web.cors import for_pages_of
from auth_service.web.errors import ErrorPage
from auth_service.web.guard import LARGEST_HEAD, guarded
from auth_service.web.paths import ByPath

SENDING_BUFFER = 128 << 10
LOOKS_EVERY = 5
"""Of uvicorn's ticks, which are 0.1 s: at those who keep us waiting."""


def _without(prefix: str, app: ASGIApp) -> ASGIApp:
    """`app` for requests that may still bear the path in front of ours: a proxy strips it, or it does not."""

    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(f"{prefix}/"):
            scope = {**scope, "path": path.removeprefix(prefix)}
        await app(scope, receive, send)

    return stripped


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self._crowd = crowd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which leaves a minute for a TLS handshake to whoever says nothing."""
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=each,
                ssl=tls,
                ssl_handshake_timeout=PATIENCE[Waits.REQUEST] if tls else None,
                backlog=self.config.backlog,
            )
            for each in sockets or ()
        ]
        self.started = True

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, {}, crowd=self._crowd)

    async def on_tick(self, counter: int) -> bool:
        if counter % LOOKS_EVERY == 0:
            self._crowd.look(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the application's: it has another server to stop as well."""
        yield


class HttpServer:
    """`bind`, `start`; at the end `stop`, and `release` whatever happened."""

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        tls: ssl.SSLContext | None = None,
        path_prefix: str = "",
        cors_origins: Sequence[str] = (),
        error_page: ErrorPage | None = None,
        always: Iterable[str] = (),
    ) -> None:
        """`always` are paths that are answered however much there is to do."""
        starlette = Starlette(exception_handlers=errors.handlers(error_page))
        starlette.router = ByPath(routes)
        self._crowd = Crowd()
        app: ASGIApp = guarded(starlette, self._crowd, always=always)
        if cors_origins:
            app = for_pages_of(cors_origins, app)
        if path_prefix:
            app = _without(path_prefix, app)
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Left to itself uvicorn believes what anybody on this machine says about where a request comes from.
            proxy_headers=False,
            date_header=True,
            timeout_keep_alive=int(PATIENCE[Waits.NEXT]),
            # How many there may be is for `crowd` to say: uvicorn would turn everybody away alike.
            limit_concurrency=None,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            ws="none",
            http=Connection,
        )
        self._tls = tls
        self._socket: socket.socket | None = None
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    def bind(self, host: str, port: int) -> int:
        """The port that it listens on. Raises OSError if the address is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol spelled out: asyncio sets TCP_NODELAY only on sockets that say they are TCP.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Left to itself the kernel keeps 4 MiB for each client that does not read.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING_BUFFER)
        try:
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        self._socket = bound
        chosen: int = bound.getsockname()[1]
        return chosen

    async def start(self) -> None:
        """Returns when it accepts connections."""
        assert self._socket is not None
        self._config.load()
        self._config.ssl = self._tls
        self._server = _Uvicorn(self._config, self._crowd)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    async def stop(self, grace: timedelta) -> None:
        """Take no more requests, and let those under way end within `grace`."""
        if self._server is not None and self._serving is not None:
            self._config.timeout_graceful_shutdown = max(1, int(grace.total_seconds()))
            self._server.should_exit = True
            await self._serving

    def release(self) -> None:
        """Give the address back if nothing was started on it."""
        if self._server is None and self._socket is not None:
            self._socket.close()
