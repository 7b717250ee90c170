"""HTTP/1.1 by hand, for what correct clients refuse to send; and an application that tells what reached it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import h11
from aiohttp import WSMsgType, web

Headers = Sequence[tuple[str, str]]
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name.lower()]

    def header(self, name: str) -> str:
        """Empty where there is none."""
        return ", ".join(self.all(name))

    @property
    def cookies(self) -> dict[str, str]:
        """Those that a browser has afterwards."""
        told = SimpleCookie()
        for each in self.all("set-cookie"):
            told.load(each)
        return {name: morsel.value for name, morsel in told.items()}

    @property
    def reached(self) -> dict[str, Any]:
        """What the application says of the request, if it was the application that answered."""
        return json.loads(self.body) if self.header("x-application") else {}


async def send(address: str, target: str, *, method: str = "GET", headers: Headers = (), body: bytes = b"") -> Reply:
    """As it is given, on a connection of its own. Status 0 where the connection ends without an answer."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address}", "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return await exchange(address, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


async def exchange(address: str, request: bytes) -> Reply:
    """The first answer to these bytes that is not informational, or the switch to another protocol."""
    host, _, port = address.rpartition(":")
    parser = h11.Connection(h11.CLIENT)
    # The parser wants to know to what it is an answer. Upgrades are asked for, so that it knows a 101.
    asked = h11.Request(method="GET", target="/", headers=[("Host", host), ("Upgrade", "websocket")])
    parser.send(asked)
    parser.send(h11.EndOfMessage())
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            return await _read(reader, parser)
        except (ConnectionError, h11.RemoteProtocolError):
            return Reply(0, [], b"")
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, parser: h11.Connection) -> Reply:
    status, headers, body = 0, list[tuple[str, str]](), b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response | h11.InformationalResponse):
            status = event.status_code
            headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            if status == 101:
                return Reply(status, headers, b"")
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            return Reply(status, headers, body)


@dataclass(slots=True)
class Application:
    """What is behind a gateway: answers with what reached it, and has a cookie of its own."""

    address: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        told: dict[str, Any] = {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[name.decode().lower(), value.decode("latin-1")] for name, value in request.raw_headers],
        }
        self.requests.append(told)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _echoed(request)
        told["size"] = len(await request.read())
        response = web.json_response(told, headers={"X-Application": "1"})
        response.set_cookie("theme", "dark")
        return response


async def _echoed(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


@asynccontextmanager
async def running_application() -> AsyncIterator[Application]:
    application = Application()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{rest:.*}", application.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    application.address = f"{host}:{port}"
    try:
        yield application
    finally:
        await runner.cleanup()
