"""Importing the verifier must stay cheap, and must never bring in the server."""

import subprocess
import sys


def test_import_brings_in_neither_grpc_nor_aiohttp_nor_the_server() -> None:
    script = "import sys, auth_client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "auth_client" in loaded
    assert not {"aiohttp", "grpc", "auth_api", "auth_service", "google"} & set(loaded)
