"""Writes the files beside it from those of Wycheproof: `python -m tests.vectors.wycheproof.trim FOLDER`.

FOLDER holds Wycheproof's own rsa_signature_*_sha256_test.json. All cases are kept; README.md says what is left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.client.minting import b64

HERE = Path(__file__).parent
SIZES = (2048, 3072, 4096, 8192)


def trimmed(document: Mapping[str, Any]) -> str:
    """A case has a line, so that a diff shows which one changed."""
    groups = ",\n".join(_group(each) for each in document["testGroups"])
    return f'{{\n"numberOfTests": {document["numberOfTests"]},\n"testGroups": [\n{groups}\n]\n}}\n'


def _group(group: Mapping[str, Any]) -> str:
    return f'{{"keyJwk": {json.dumps(group["keyJwk"])}, "tests": [\n{_lines(group)}\n]}}'


def _lines(group: Mapping[str, Any]) -> str:
    return ",\n".join(json.dumps(dict(_kept(each))) for each in group["tests"])


def _kept(case: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name in ("tcId", "comment", "flags", "result", "msg"):
        yield name, case[name]
    yield "sigBase64url", b64(bytes.fromhex(case["sig"]))


def main(folder: Path) -> None:
    for size in SIZES:
        name = f"rsa_signature_{size}_sha256"
        document = json.loads((folder / f"{name}_test.json").read_text(encoding="utf-8"))
        (HERE / f"{name}.json").write_text(trimmed(document), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
