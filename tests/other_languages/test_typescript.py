"""clients/typescript, from a clean folder: built, held to the vectors, and tried against the running service."""

import filecmp
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.other_languages.conftest import CLIENTS, all_vectors_are_right, run

FOLDER = CLIENTS / "typescript"
pytestmark = [
    pytest.mark.other_language,
    pytest.mark.skipif(shutil.which("npm") is None, reason="left out: there is no Node on this machine"),
]


@pytest.fixture(scope="module", name="checkout")
def a_clean_checkout(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    """A copy in which `npm ci` was run, beside a copy of the vectors as in the repository."""
    root = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("node_modules", "dist")
    checkout = Path(shutil.copytree(FOLDER, root / "clients" / "typescript", ignore=ignore))
    shutil.copytree(FOLDER.parents[1] / "tests" / "vectors", root / "tests" / "vectors")
    shutil.copytree(FOLDER.parents[1] / "protos", root / "protos")
    run(["npm", "ci", "--no-progress"], folder=checkout, environment=environment)
    return checkout


def test_it_judges_the_vectors_and_trusts_the_service_as_it_should(
    checkout: Path, environment: Mapping[str, str]
) -> None:
    printed = run(["npm", "test"], folder=checkout, environment=environment)

    assert all_vectors_are_right(printed)
    assert re.search(r"^# skipped 0$", printed, re.MULTILINE)


def test_its_stubs_are_those_of_the_protos(checkout: Path, tmp_path: Path, environment: Mapping[str, str]) -> None:
    run([sys.executable, "generate.py", str(tmp_path)], folder=checkout, environment=environment)

    kept = FOLDER / "src" / "generated"
    files = sorted(str(path.relative_to(kept)) for path in kept.rglob("*.ts"))
    _, different, missing = filecmp.cmpfiles(kept, tmp_path, files, shallow=False)
    assert files == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.ts"))
    assert (different, missing) == ([], []), "run `npm run generate`"


def test_its_lock_says_what_packages_hash_to_and_not_where_they_are() -> None:
    lock = (FOLDER / "package-lock.json").read_text(encoding="utf-8")

    assert "http" not in lock, "run `npm run lock`"
    assert lock.count('"integrity"') == lock.count('"node_modules/')
