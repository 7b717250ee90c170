"""What nobody planned for, at a route: the log is told where, the caller is told nothing."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.server import HttpServer
from tests.support.service import Logs

MAILED = "a-token-that-was-mailed"


async def broken(_request: Request) -> Response:
    raise RuntimeError("SELECT password FROM person WHERE host = 'db.internal'")


@pytest.mark.row("S70", "S82")
async def test_a_defect_of_ours_is_a_500_that_shows_no_insides_and_one_line_that_names_its_route(logs: Logs) -> None:
    server = HttpServer([Route("/broken/{token}", broken)])
    port = server.bind("127.0.0.1", 0)
    await server.start()
    logs.clear()

    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/broken/{MAILED}?x=y") as answer:
        status, headers, told = answer.status, answer.headers, await answer.json()
    await asyncio.shield(server.stop(timedelta(seconds=1)))

    assert (status, headers["Cache-Control"]) == (500, "no-store")
    assert told == {"reason": "DEFECT", "message": "something went wrong on our side"}
    (line,) = [line for line in logs.lines if line["level"] == "error"]
    assert (line["event"], line["route"]) == ("http.defect", "/broken/{token}")
    assert line["exception"][0]["exc_type"] == "RuntimeError"
    assert MAILED not in logs.text
