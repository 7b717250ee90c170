"""One `auth-service serve` on loopback, and what a client's tests in another language are told about it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.processes import ServiceProcess
from tests.vectors.make import VECTORS

CLIENTS = Path(__file__).parents[2] / "clients"
_ISSUER, _AUDIENCE = "https://auth.facility.example", "facility"


@pytest.fixture(scope="session", name="service")
async def running_service() -> AsyncIterator[ServiceProcess]:
    """With the stand-in facility: `user1001` signs in by `user1001-password`."""
    settings = {
        "AUTH_ISSUER": _ISSUER,
        "AUTH_AUDIENCE": _AUDIENCE,
        "AUTH_POLL_EVERY": "100ms",
        "AUTH_TRUST_HEARTBEAT": "1s",
    }
    async with ServiceProcess(settings) as process:
        yield process


@pytest.fixture(scope="session")
def environment(service: ServiceProcess) -> Mapping[str, str]:
    """AUTH_GRPC_ADDRESS, AUTH_HTTP_ADDRESS, AUTH_ISSUER, AUTH_AUDIENCE; and AUTH_PYTHON, by which
    `$AUTH_PYTHON -m auth_service keys rotate` acts on this service, since the rest of its settings are here too."""
    return {**service.environment, "AUTH_PYTHON": sys.executable}


def all_vectors_are_right(printed: str) -> bool:
    """Whether a language says that it judged each of tests/vectors, and all as they say."""
    cases = json.loads(VECTORS.read_text(encoding="ascii"))["cases"]
    accepted = sum(case["accepted"] for case in cases)
    return f"vectors: {accepted} accepted, {len(cases) - accepted} refused, 0 wrong" in printed


def run(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> str:
    """What `command` printed. A command that fails fails the test, and shows it."""
    print(f"$ {' '.join(command)}")
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    print(done.stdout)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}"
    return done.stdout
