"""clients/go: vetted, held to the vectors, and tried against the running service."""

import filecmp
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.other_languages.conftest import CLIENTS, all_vectors_are_right, run

FOLDER = CLIENTS / "go"
STUBS = ("authapi", "example/whoami")
pytestmark = [
    pytest.mark.other_language,
    pytest.mark.skipif(shutil.which("go") is None, reason="left out: there is no Go on this machine"),
]


def test_it_judges_the_vectors_and_trusts_the_service_as_it_should(environment: Mapping[str, str]) -> None:
    printed = run(["go", "test", "-count=1", "-v", "./..."], folder=FOLDER, environment=environment)

    assert all_vectors_are_right(printed)
    assert "--- SKIP" not in printed


def test_it_is_formatted_and_vetted_and_its_modules_are_what_their_sums_say(environment: Mapping[str, str]) -> None:
    assert run(["gofmt", "-l", "."], folder=FOLDER, environment=environment) == ""
    run(["go", "vet", "./..."], folder=FOLDER, environment=environment)
    run(["go", "mod", "verify"], folder=FOLDER, environment=environment)


def test_its_stubs_are_those_of_the_protos(tmp_path: Path, environment: Mapping[str, str]) -> None:
    run(
        [str(Path(sys.executable).parent / "buf"), "generate", "-o", str(tmp_path)],
        folder=FOLDER,
        environment=environment,
    )

    for stubs in STUBS:
        files = sorted(path.name for path in (FOLDER / stubs).glob("*.pb.go"))
        _, different, missing = filecmp.cmpfiles(FOLDER / stubs, tmp_path / stubs, files, shallow=False)
        assert files == sorted(path.name for path in (tmp_path / stubs).iterdir())
        assert (different, missing) == ([], []), "run `go generate ./...`"
