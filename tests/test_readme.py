"""Every command in the README works, and prints what the README says it prints.

The console session is typed, line by line, into one shell beside a service that `auth-service serve` started; the
Python example is run as it stands. `…` in the README stands for what differs each time.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth_service.cli.commands import cli
from tests.support.ports import free_port
from tests.support.processes import ServiceProcess

README = Path(__file__).parent.parent / "README.md"
GRPC, HTTP = "127.0.0.1:50051", "127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def session() -> list[tuple[str, str]]:
    """Each command of the console blocks, and what it prints."""
    steps = re.split(r"^\$ ", "\n".join(blocks("console")), flags=re.MULTILINE)[1:]
    return [(command, printed.strip()) for command, _, printed in (step.partition("\n") for step in steps)]


def matches(printed: str, expected: str) -> bool:
    pattern = re.escape(expected).replace("…", "[^\n]+")
    return re.fullmatch(pattern, printed.strip()) is not None


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
    steps = [(here(command, service), here(printed, service)) for command, printed in session()]
    script = "\n".join(f"{command}\necho '--- end'" for command, _ in steps)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    ran = subprocess.run(
        ["bash"], input=script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert len(steps) >= 8
    *outputs, after_the_last = ran.stdout.split("--- end\n")
    assert after_the_last == ""
    for (command, expected), printed in zip(steps, outputs, strict=True):
        assert matches(printed, expected), f"{command}\nprinted\n{printed}\n{ran.stderr}\nnot\n{expected}"


async def test_the_python_example_greets_the_person(service: ServiceProcess) -> None:
    from auth_client.aio import AuthClient

    (example,) = blocks("python")
    async with AuthClient(service.grpc_address, plaintext=True) as client:
        pair = await client.login("user1001", "user1001-password")
    script = here(example, service) + textwrap.dedent("""
        import sys
        asyncio.run(main(sys.argv[1]))
    """)

    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, pair.access_token, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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

    targets = re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), re.MULTILINE)

    assert {"run", "test", "check"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
