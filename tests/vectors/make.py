"""Writes vectors.json: `make vectors`. The same file in every run, for keys, salts and times are made from names."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.client.minting import AUDIENCE, ISSUER
from tests.vectors import accepted, refused_claims, refused_encodings, refused_headers, refused_keys
from tests.vectors.case import Case
from tests.vectors.key_sets import KEY_SETS

VECTORS = Path(__file__).parent / "vectors.json"


def sections() -> Mapping[str, Iterator[Case]]:
    return {
        "shapes": accepted.shapes(),
        "audiences": accepted.audiences(),
        "contents": accepted.contents(),
        "spellings": accepted.spellings(),
        "times": accepted.times(),
        "keys": accepted.keys(),
        "algorithm": refused_headers.algorithms(),
        "typ": refused_headers.types(),
        "injection": refused_headers.injections(),
        "kid": refused_headers.kids(),
        "issuer and audience": refused_claims.issuers_and_audiences(),
        "types of claims": refused_claims.types_of_claims(),
        "time": refused_claims.times(),
        "order": refused_claims.orders(),
        "payload": refused_encodings.payloads(),
        "header": refused_encodings.headers(),
        "base64url": refused_encodings.base64url(),
        "segments": refused_encodings.segments(),
        "key sets": refused_keys.key_sets(),
        "revocation": refused_keys.revocations(),
        "pkcs1": refused_keys.pkcs1(),
    }


def vectors() -> str:
    """The text of vectors.json. A case has a line, so that a diff shows which one changed."""
    cases = [case.packed(section) for section, each in sections().items() for case in each]
    key_sets = ",\n".join(f"  {_json(name)}: {_json(each)}" for name, each in KEY_SETS.items())
    lines = ",\n".join(f"  {_json(case)}" for case in cases)
    defaults = f'"issuer": {_json(ISSUER)},\n"audience": {_json(AUDIENCE)}'
    return f'{{\n{defaults},\n"key_sets": {{\n{key_sets}\n}},\n"cases": [\n{lines}\n]\n}}\n'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


if __name__ == "__main__":
    VECTORS.write_text(vectors(), encoding="ascii")
