"""The cache of verified tokens: it saves the signature check and nothing else."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from auth_client import FixedKeys, TokenExpired, TokenInvalid, TokenRefused, TokenRevoked

from tests.client.minting import NOW, b64, claims, compact, header, jwk, key_set, sign, token, verifier


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


def test_remembered_token_is_the_same_object() -> None:
    checker, text = verifier(cache_size=10), token()

    assert checker.verify_now(text) is checker.verify_now(text)
    assert verifier().verify_now(text) is not verifier().verify_now(text)


def test_remembered_token_expires_and_does_not_outlive_clock_jumps() -> None:
    clock = Clock()
    checker, text = verifier(cache_size=10, clock=clock), token(nbf=NOW)
    first = checker.verify_now(text)

    for jump, error in ((660, TokenExpired), (1e9, TokenExpired), (-61, TokenInvalid), (-1e9, TokenInvalid)):
        clock.now = NOW + jump
        with pytest.raises(error):
            checker.verify_now(text)
    clock.now = NOW + 659

    assert checker.verify_now(text) == first


def test_replaced_keys_hold_from_the_next_call_on() -> None:
    source = FixedKeys(key_set("first", "second"))
    checker, text = verifier(keys=source, cache_size=10), token()
    assert checker.verify_now(text)

    source.replace(key_set("second"))
    with pytest.raises(TokenInvalid) as refused:
        checker.verify_now(text)
    assert refused.value.reason == "unknown_key"
    assert checker.verify_now(sign(header(kid="second"), claims(), key="second"))

    source.replace(key_set("first"))
    assert checker.verify_now(text)


def test_other_key_under_the_same_kid_ends_what_was_remembered() -> None:
    source = FixedKeys(key_set("first"))
    checker, text = verifier(keys=source, cache_size=10), token()
    assert checker.verify_now(text)

    source.replace(type(key_set()).from_jwks({"keys": [jwk("second", kid="first")]}))

    with pytest.raises(TokenInvalid) as refused:
        checker.verify_now(text)
    assert refused.value.reason == "signature"


def test_same_keys_fetched_anew_keep_what_was_remembered() -> None:
    source = FixedKeys(key_set())
    checker, text = verifier(keys=source, cache_size=10), token()
    first = checker.verify_now(text)

    source.replace(key_set())

    assert checker.verify_now(text) is first


def test_revocation_reaches_remembered_tokens() -> None:
    ended: set[str] = set()
    checker = verifier(cache_size=10, is_revoked=lambda verified: verified.session_id in ended)
    text = token()
    session = checker.verify_now(text).session_id

    ended.add(session)

    with pytest.raises(TokenRevoked):
        checker.verify_now(text)


def test_revocation_check_that_fails_lets_nobody_in() -> None:
    def broken(_: object) -> bool:
        raise ConnectionError("no answer")

    with pytest.raises(ConnectionError):
        verifier(is_revoked=broken).verify_now(token())


def test_only_so_many_tokens_are_remembered_and_the_oldest_goes() -> None:
    checker = verifier(cache_size=3)
    texts = [token(jti=str(number)) for number in range(4)]
    seen = [checker.verify_now(text) for text in texts]

    assert [checker.verify_now(text) is old for text, old in zip(texts[1:], seen[1:], strict=True)] == [True] * 3
    assert checker.verify_now(texts[0]) is not seen[0]
    assert len(checker._cache) == 3


def test_refused_tokens_are_not_remembered() -> None:
    checker, good = verifier(cache_size=10), token()
    head, body, tail = good.split(".")
    forged = f"{head}.{b64(compact(claims(sub='admin')))}.{tail}"

    for text in (forged, forged, good[:-1], f"{head}.{body}.", good + "=", "", token(exp=1)):
        with pytest.raises(TokenRefused):
            checker.verify_now(text)
    assert len(checker._cache) == 0

    assert checker.verify_now(good)
    with pytest.raises(TokenRefused):
        checker.verify_now(forged)


def test_threads_may_share_a_verifier() -> None:
    checker = verifier(cache_size=2)
    texts = {str(number): token(jti=str(number)) for number in range(6)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: checker.verify_now(texts[str(number % 6)]).token_id, range(3000)))

    assert found == [str(number % 6) for number in range(3000)]
    assert len(checker._cache) <= 2
