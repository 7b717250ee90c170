"""What a program hears for its metrics and finds in its log: verdicts, fetches, streams, keys that are left out."""

import asyncio
import json
import logging
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import grpc
import pytest
from auth_client import HttpJwks, KeysUnavailable, TokenRefused, TokenVerifier
from auth_client.sync import BlockingVerifier
from auth_client.trust import TrustStream

from tests.client.jwks_endpoint import FAULTS, Clock, JwksEndpoint, saying
from tests.client.minting import claims, header, jwk, key_set, sign, token, verifier
from tests.client.trust_endpoint import TrustEndpoint, chunk, heartbeat, trusted_keys
from tests.support.conditions import eventually


async def judged(checker: TokenVerifier, *texts: str) -> None:
    for text in texts:
        with suppress(TokenRefused, KeysUnavailable):
            await checker.verify(text)


async def test_each_verdict_is_heard_once_by_its_reason() -> None:
    heard: Counter[str] = Counter()
    checker = verifier(
        on_verdict=lambda reason: heard.update([reason]), cache_size=9, is_revoked=lambda each: each.session_id == "x"
    )

    await judged(checker, token(), token(), token(exp=1), token(sid="x"), "x", sign(header(kid="other"), claims()))
    with pytest.raises(TokenRefused):
        checker.verify_now(token(aud="other"))

    assert heard == {"good": 2, "expired": 1, "revoked": 1, "malformed": 1, "unknown_key": 1, "audience": 1}


async def test_an_unknown_key_that_is_found_is_one_verdict_and_having_none_is_one_too() -> None:
    heard: list[str] = []
    async with JwksEndpoint() as endpoint:
        keys = HttpJwks(endpoint.url)
        endpoint.fault = FAULTS["500"]
        await judged(verifier(keys=keys, on_verdict=heard.append), token())
        await keys.close()
        endpoint.fault = None
        async with HttpJwks(endpoint.url) as keys:
            endpoint.names, endpoint.headers["ETag"] = ("first", "second"), '"2"'
            await judged(
                verifier(keys=keys, on_verdict=heard.append), sign(header(kid="second"), claims(), key="second")
            )

    assert heard == ["keys_unavailable", "good"]


async def test_a_verdict_of_threads_is_heard_once() -> None:
    heard: list[str] = []
    async with JwksEndpoint() as endpoint:

        def blocking() -> None:
            keys = HttpJwks(endpoint.url)
            with BlockingVerifier(verifier(keys=keys, on_verdict=heard.append), keys) as threads:
                threads.verify(token())
                with pytest.raises(TokenRefused):
                    threads.verify(sign(header(kid="second"), claims()))

        await asyncio.to_thread(blocking)

    assert heard == ["good", "unknown_key"]


def test_a_listener_that_fails_changes_no_verdict(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise ConnectionError("no metrics")

    assert verifier(on_verdict=broken).verify_now(token())
    with pytest.raises(TokenRefused):
        verifier(on_verdict=broken).verify_now(token(exp=1))
    assert "a listener failed" in caplog.text


async def test_each_fetch_is_heard_with_what_went_wrong_and_said_in_the_log_when_that_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[str | None] = []
    caplog.set_level(logging.INFO, "auth_client")
    clock = Clock()
    async with (
        JwksEndpoint() as endpoint,
        HttpJwks(endpoint.url, clock=clock, call_later=clock.call_later, on_fetch=heard.append) as keys,
    ):
        endpoint.fault = FAULTS["500"]
        await keys.refresh()
        await keys.refresh()
        endpoint.fault = None
        await keys.refresh()

    why = "KeySetRefused: the JWKS endpoint answered 500"
    assert heard == [None, why, why, None]
    assert caplog.messages == [
        f"keys from 127.0.0.1: {why}; the keys in hand stay",
        "keys from 127.0.0.1: they are to be had again",
    ]


async def test_a_listener_that_fails_does_not_end_the_fetching(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise ConnectionError("no metrics")

    clock = Clock()
    async with (
        JwksEndpoint() as endpoint,
        HttpJwks(endpoint.url, clock=clock, call_later=clock.call_later, on_fetch=broken) as keys,
    ):
        clock.pass_by(260)
        await keys.refresh()

        assert endpoint.hits == 2
        assert verifier(keys=keys).verify_now(token())


async def test_a_stream_is_heard_when_it_is_followed_and_when_it_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str | None] = []
    caplog.set_level(logging.INFO, "auth_client")
    async with (
        TrustEndpoint(chunk("first")) as endpoint,
        TrustStream(
            endpoint.address, plaintext=True, longest_pause=timedelta(seconds=0.2), on_stream=heard.append
        ) as trust,
    ):
        endpoint.refuses = grpc.StatusCode.UNAVAILABLE
        endpoint.cut()
        await eventually(lambda: len(endpoint.cursors) > 2)
        endpoint.refuses, endpoint.script = None, [heartbeat()]
        await eventually(lambda: trust.health.is_following)

    assert (heard[0], heard[-1]) == (None, None)
    assert heard[1] == "UNAVAILABLE: cut"
    assert {*heard[2:-1]} == {"UNAVAILABLE: not now"}
    assert len(caplog.messages) == 2
    assert caplog.messages[0].endswith("UNAVAILABLE: cut; what it has told stays")


MIXED = [
    jwk("first"),
    jwk("leaked", d="c2VjcmV0IG9mIHRoZSBrZXk", p="AQAB"),
    {"kty": "EC", "kid": "elliptic", "crv": "P-256", "x": "AA", "y": "AA"},
    jwk("second", alg="RS512"),
    jwk("third", kid="twin"),
    jwk("fourth", kid="twin"),
    jwk("fifth", kid="two\nlines", e="Aw"),
]


@pytest.mark.row("S90")
async def test_what_is_left_out_of_a_key_set_is_reported_by_name_and_reason_and_never_by_its_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with JwksEndpoint() as endpoint:
        endpoint.fault = saying(json.dumps({"keys": MIXED}).encode())
        async with HttpJwks(endpoint.url) as keys:
            await keys.refresh()
            assert list(keys.current()) == ["first"]
            assert verifier(keys=keys).verify_now(token())
            assert {each.kid: each.why for each in keys.health.left_out} == {
                "leaked": "has the private members d, p",
                "elliptic": "is no RSA key",
                "second": "is not for RS256 signatures",
                "twin": "is the kid of 2 keys",
                "two\nlines": "is not of 2048 to 8192 bits with the exponent 65537",
            }

    assert len(caplog.messages) == 5
    assert "'leaked' has the private members d, p, and is left out" in caplog.text
    assert r"'two\nlines'" in caplog.text
    assert "c2VjcmV0" not in caplog.text


@pytest.mark.row("S90")
async def test_the_same_on_a_trust_stream(caplog: pytest.LogCaptureFixture) -> None:
    told = chunk("first")
    told.snapshot.keys.keys.extend(trusted_keys("second", alg="RS512").keys)
    told.snapshot.keys.keys.extend(trusted_keys("third", kid="twin").keys)
    told.snapshot.keys.keys.extend(trusted_keys("fourth", kid="twin").keys)
    async with (
        TrustEndpoint(told) as endpoint,
        TrustStream(endpoint.address, plaintext=True) as trust,
    ):
        assert list(trust.current()) == ["first"]
        assert [each.kid for each in trust.health.left_out] == ["second", "twin"]

    assert "'second' is not for RS256 signatures, and is left out" in caplog.text


@pytest.mark.row("S90")
async def test_a_set_of_nothing_but_unusable_keys_says_which(caplog: pytest.LogCaptureFixture) -> None:
    async with JwksEndpoint() as endpoint:
        endpoint.fault = saying(json.dumps({"keys": MIXED[1:]}).encode())
        async with HttpJwks(endpoint.url) as keys:
            assert keys.health.keys == 0

    assert "no usable key; 'leaked' has the private members d, p; 'elliptic' is no RSA key" in caplog.text


def test_reports_are_few_however_long_the_set_is() -> None:
    keys = type(key_set()).from_jwks({"keys": [{"kid": "x" * 1000}] * 10_000})

    assert len(keys.left_out) == 20
    assert {len(each.kid) for each in keys.left_out} == {128}
