"""What every verifier must say, in whichever language: vectors.json, told to ours. README.md says what is in it."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from auth_client import FixedKeys, KeySet, TokenRefused, TokenVerifier, VerifiedToken

from tests.vectors.make import VECTORS, vectors

_LEAST = 120


@cache
def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(VECTORS.read_text(encoding="ascii"))
    return document


def _key_set(name: str) -> KeySet:
    told = _document()["key_sets"][name]
    return KeySet.from_jwks(json.dumps(told["jwks"]), revoked=frozenset(told["revoked_kids"]))


def _verifier(case: Mapping[str, Any], *, cache_size: int = 0) -> TokenVerifier:
    ended = frozenset(case["revoked_sessions"])
    return TokenVerifier(
        issuer=case["issuer"],
        audience=case["audience"],
        keys=FixedKeys(_key_set(case["key_set"])),
        is_revoked=lambda token: token.session_id in ended,
        leeway=timedelta(seconds=case["leeway_seconds"]),
        cache_size=cache_size,
        clock=lambda: case["now"],
    )


def _verdict(case: Mapping[str, Any], verifier: TokenVerifier) -> Mapping[str, object]:
    try:
        token = verifier.verify_now(case["token"] * case["token_repeat"])
    except TokenRefused as refused:
        return {"accepted": False, "code": refused.code, "reason": refused.reason, "claims": None}
    return {"accepted": True, "code": None, "reason": None, "claims": _told(token)}


def _told(token: VerifiedToken) -> Mapping[str, object]:
    return {
        "subject": token.subject,
        "session_id": token.session_id,
        "token_id": token.token_id,
        "issuer": token.issuer,
        "audience": list(token.audience),
        "roles": list(token.roles),
        "scopes": list(token.scopes),
        "user_number": token.user_number,
        "username": token.username,
        "client_id": token.client_id,
        "key_id": token.key_id,
        "issued_at": token.iat,
        "not_before": token.nbf,
        "expires_at": token.exp,
    }


@pytest.mark.row("S1", "S2", "S3", "S4", "S13", "S14")
def test_every_vector_is_judged_as_it_says() -> None:
    wrong = {}
    for case in _document()["cases"]:
        # Twice by a verifier that remembers, for a token that is remembered is judged on another path.
        remembering = _verifier(case, cache_size=8)
        said = [_verdict(case, each) for each in (_verifier(case), remembering, remembering)]
        expected = {member: case[member] for member in ("accepted", "code", "reason", "claims")}
        if said != [expected] * 3:
            wrong[case["name"]] = (expected, said)

    assert not wrong


def test_the_vectors_are_many_and_each_has_its_own_name() -> None:
    cases = _document()["cases"]
    print(Counter("accepted" if case["accepted"] else "refused" for case in cases))

    assert len({case["name"] for case in cases}) == len(cases) >= _LEAST
    assert {case["key_set"] for case in cases} == set(_document()["key_sets"])


def test_the_script_writes_the_file_that_is_there() -> None:
    assert vectors() == VECTORS.read_text(encoding="ascii"), "run `make vectors`"
