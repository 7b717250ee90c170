"""The HTTP server: its routes and its limits, in the loop that the gRPC server runs in."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from auth_service.web import errors
from auth_service.web.errors import ErrorPage

MOST_CONNECTIONS = 1000
KEEP_ALIVE_SECONDS = 75
HEADER_SECONDS = 10


class _Patient(H11Protocol):
    """uvicorn waits for ever for the rest of a request; this waits HEADER_SECONDS, then hangs up."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A request begins, or goes on to begin: what drips in does not buy more time.
        self._wait()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _without(prefix: str, app: ASGIApp) -> ASGIApp:
    """`app` for requests that may still bear the path in front of ours: a proxy strips it, or it does not."""

    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(f"{prefix}/"):
            scope = {**scope, "path": path.removeprefix(prefix)}
        await app(scope, receive, send)

    return stripped


class _Uvicorn(uvicorn.Server):
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
    ) -> None:
        starlette = Starlette(routes=routes, exception_handlers=errors.handlers(error_page))
        # To an address that would be made of whatever Host the caller sent.
        starlette.router.redirect_slashes = False
        app: ASGIApp = starlette
        if cors_origins:
            app = CORSMiddleware(
                app,
                allow_origins=cors_origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms"],
                # The refresh cookie travels with a page's requests.
                allow_credentials=True,
                max_age=600,
            )
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
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=16 << 10,
            ws="none",
            http=_Patient,
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
        self._server = _Uvicorn(self._config)
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
