"""The handling of a service process, with a stand-in that is ready when told to be."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.processes import NotReady, ServiceProcess
from tests.support.test_postgres import REPOSITORY, wait_until_gone

# Answers /readyz with 503 once and with 200 from then on; ends with code 3 on SIGTERM.
STAND_IN = """
import http.server, os, signal, sys
answers = iter([503])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(next(answers, 200) if self.path == "/readyz" else 404)
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("data in", os.environ["AUTH_DATA_DIR"], "secret" in os.environ.get("AUTH_LEFT_OVER", ""))
host, port = os.environ["AUTH_HTTP_ADDRESS"].split(":")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""

ABANDONING_PARENT = """
import asyncio, sys
from tests.support.processes import ServiceProcess

async def main():
    service = ServiceProcess({}, arguments=["-c", sys.argv[1]])
    await service.start()
    print(service.pid, service.home, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_service_is_ready_measured_terminated_and_started_again_on_the_same_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTH_LEFT_OVER", "secret")
    async with ServiceProcess({"AUTH_DATA_DIR": "/nowhere"}, arguments=["-c", STAND_IN]) as service:
        address, first = service.http_address, service.pid
        assert service.rss() > 1_000_000
        assert "data in /nowhere False" in service.log

        ended = await service.terminate(deadline=5)
        await service.start()

        assert ended.code == 3
        assert ended.seconds < 5
        assert service.http_address == address
        assert service.pid != first
        assert (await service.kill9()).code == -9


async def test_a_service_that_ends_early_shows_its_log() -> None:
    service = ServiceProcess({}, arguments=["-c", "import sys; sys.exit('AUTH_DATABASE_URL: not a URL')"])

    with pytest.raises(NotReady, match=r"ended with 1; .*\n.*AUTH_DATABASE_URL: not a URL"):
        await service.start()
    await service.close()


async def test_a_service_that_is_never_ready_is_killed_at_the_deadline() -> None:
    service = ServiceProcess({}, arguments=["-c", "import time; print('thinking'); time.sleep(60)"])

    with pytest.raises(NotReady, match=r"was not ready after 0\.5 s; .*\n.*thinking"):
        await service.start(deadline=0.5)
    with pytest.raises(RuntimeError, match="not running"):
        service.rss()
    await service.close()


async def test_a_service_deaf_to_sigterm_is_killed() -> None:
    deaf = STAND_IN.replace("lambda *_: sys.exit(3)", "signal.SIG_IGN")
    async with ServiceProcess({}, arguments=["-c", deaf]) as service:
        ended = await service.terminate(deadline=0.1)

        assert ended.code == -9


def test_no_service_survives_a_killed_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ABANDONING_PARENT, STAND_IN], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, home = parent.stdout.readline().split()
    assert psutil.pid_exists(int(pid))

    parent.kill()
    parent.communicate()

    assert wait_until_gone([int(pid)]) == []
    subprocess.run(["rm", "-r", Path(home)], check=True)
