"""What each of the three wheels brings, and what it asks for."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def wheel(folder: str, tmp_path: Path) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT / folder, check=True, capture_output=True, timeout=60)
    (built,) = tmp_path.glob("*.whl")
    return zipfile.ZipFile(built)


def requirements(built: zipfile.ZipFile) -> set[str]:
    (metadata,) = (name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
    headers = Parser().parsestr(built.read(metadata).decode())
    assert headers["License-Expression"] == "Apache-2.0"
    lines = headers.get_all("Requires-Dist", [])
    return {re.split(r"[<>=!~; ]", line)[0] for line in lines if "extra ==" not in line}


def test_the_client_alone_asks_only_for_what_verifying_needs(tmp_path: Path) -> None:
    with wheel("clients/python", tmp_path) as built:
        assert requirements(built) == {"aiohttp", "cryptography", "msgspec"}
        assert {name.split("/")[0] for name in built.namelist()} == {"auth_client", "auth_client-0.1.0.dist-info"}
        assert "auth_client/py.typed" in built.namelist()


def test_the_contract_brings_its_sources_and_its_comments(tmp_path: Path) -> None:
    with wheel("protos", tmp_path) as built:
        names = set(built.namelist())
        assert requirements(built) == {"googleapis-common-protos", "protobuf"}
        assert {"auth_api/v1/auth.proto", "auth_api/v1/auth_pb2.pyi", "auth_api/descriptors.binpb"} <= names


def test_the_service_brings_its_migrations(tmp_path: Path) -> None:
    with wheel(".", tmp_path) as built:
        names = set(built.namelist())
        migrations = {path.name for path in (ROOT / "auth_service/storage/migrations/versions").glob("0*.py")}
        assert {f"auth_service/storage/migrations/versions/{name}" for name in migrations} <= names
        assert "auth_service/storage/migrations/env.py" in names
        assert not [name for name in names if not name.startswith(("auth_service/", "auth_service-"))]


def test_the_service_brings_its_pages(tmp_path: Path) -> None:
    pages = ROOT / "auth_service/web/pages"
    written = [*(pages / "templates").rglob("*.html"), *(pages / "static").iterdir()]
    with wheel(".", tmp_path) as built:
        assert {str(path.relative_to(ROOT)) for path in written} <= set(built.namelist())
    assert len(written) > 20


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "gateways.txt"])
def test_locks_carry_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")

    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index-url" not in text


@pytest.mark.row("E18")
def test_the_container_does_not_run_as_root() -> None:
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    assert re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE) == ["10001"]
