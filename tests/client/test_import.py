"""Importing the verifier must stay cheap; each module brings what its stack needs and no other's, and no server."""

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "grpc", "grpclib", "fastapi", "starlette", "pydantic", "auth_api", "auth_service", "google"}


@pytest.mark.parametrize(
    ("module", "brings"),
    [
        ("auth_client", set()),
        ("auth_client.asgi", set()),
        ("auth_client.fastapi", {"fastapi", "starlette", "pydantic"}),
        ("auth_client.aio", {"grpc", "auth_api", "google"}),
        ("auth_client.sync", {"grpc", "auth_api", "google"}),
        ("auth_client.trust", {"grpc", "auth_api", "google"}),
        ("auth_client.grpclib", {"grpclib", "auth_api", "google"}),
    ],
)
def test_import_brings_what_the_module_needs_and_nothing_else(module: str, brings: set[str]) -> None:
    script = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "auth_client" in loaded
    assert HEAVY & set(loaded) == brings
