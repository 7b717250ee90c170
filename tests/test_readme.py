"""Every command in the README and the walk-through of docs/http.md works, and prints what they say it prints.

The console sessions are typed, line by line, into one shell beside a service that `auth-service serve` started; the
Python example is run as it stands. `…` stands for what differs each time.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth_service.cli.commands import cli
from tests.support.console import blocks, session, typed
from tests.support.ports import free_port
from tests.support.processes import ServiceProcess

README = Path(__file__).parent.parent / "README.md"
HTTP_PAGE = README.parent / "docs/http.md"
GRPC, HTTP = "127.0.0.1:50051", "127.0.0.1:8080"


@pytest.fixture(name="service")
async def a_fresh_service(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    environment = {
        "AUTH_FACILITY_ADDRESS": f"127.0.0.1:{free_port()}",
        "AUTH_DATA_DIR": str(tmp_path / "data"),
    }
    async with ServiceProcess(environment) as process:
        yield process


def here(text: str, service: ServiceProcess) -> str:
    """`text` with the addresses of `service` in place of the usual ones."""
    return text.replace(GRPC, service.grpc_address).replace(HTTP, service.http_address)


@pytest.mark.row("C8")
@pytest.mark.skipif(shutil.which("grpcurl") is None, reason="left out: there is no grpcurl on this machine")
def test_the_console_session_prints_what_the_readme_says(service: ServiceProcess, tmp_path: Path) -> None:
    typed(session(README), where=lambda text: here(text, service), folder=tmp_path, at_least=8)


@pytest.mark.row("C8/REST")
@pytest.mark.skipif(shutil.which("curl") is None, reason="left out: there is no curl on this machine")
def test_the_walk_through_by_curl_prints_what_the_page_says(service: ServiceProcess, tmp_path: Path) -> None:
    typed(session(HTTP_PAGE), where=lambda text: here(text, service), folder=tmp_path, at_least=12)


@pytest.mark.row("A17/REST")
@pytest.mark.skipif(shutil.which("curl") is None, reason="left out: there is no curl on this machine")
def test_what_the_service_says_to_type_next_works_as_it_stands(service: ServiceProcess, tmp_path: Path) -> None:
    told = subprocess.run(
        ["curl", "-s", f"http://{service.http_address}/"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    by_http = told.partition("3. ")[0]
    script = "\n".join(line.strip() for line in by_http.splitlines() if line.startswith("    "))

    ran = subprocess.run(
        ["bash", "-e"], input=script, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True
    )

    assert service.grpc_address in told
    assert '"username": "user1001"' in ran.stdout


async def test_the_python_example_greets_the_person(service: ServiceProcess) -> None:
    from auth_client.aio import AuthClient

    (example,) = blocks(README, "python")
    async with AuthClient(service.grpc_address, plaintext=True) as client:
        pair = await client.login("user1001", "user1001-password")
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", here(example, service), pair.access_token, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdout, stderr = await ran.communicate()

    assert stdout == b"hello user1001 ('user',)\n", stderr


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"`auth-service ([a-z -]+?)(?: [A-Z]+[^`]*)?`", README.read_text(encoding="utf-8"))

    assert len(commands) >= 8
    for command in commands:
        cli([*command.split(), "--help"], result_action="return_value")
        assert f"Usage: auth-service {command}" in " ".join(capsys.readouterr().out.split())


def test_every_make_target_exists() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")

    targets = re.findall(r"^make ([a-z-]+)", "\n".join(blocks(README, "sh")), re.MULTILINE)

    assert {"run", "test", "check"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
