"""Coming from HS256, through the doors: Verify alone takes the old service's tokens, and only where it was told to."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from auth_api.v1 import auth_pb2
from auth_client import TokenRefused, TokenVerifier
from auth_client.keys import KeySet
from auth_client.sources import FixedKeys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth_service.demo import Facility
from tests.support.conditions import eventually
from tests.support.service import AUDIENCE, ISSUER, Databases, Logs, Service, bearer, refusal, running_service

SECRET = "the secret of the service before"
REFUSED = ("UNAUTHENTICATED", "TOKEN_INVALID")


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def old_token(*, secret: str | bytes = SECRET, **changes: Any) -> str:
    exp = int((datetime.now(UTC) + timedelta(minutes=10)).timestamp())
    claims = {"usernumber": 1001, "role": "staff", "username": "Ada", "exp": exp} | changes
    return jwt.encode(claims, secret, algorithm="HS256")


@pytest.fixture(scope="module")
async def service(
    databases: Databases, facility: Facility, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One that was told to. No database is asked, so one kind is enough."""
    async with running_service(
        await databases.make("sqlite"),
        facility=facility,
        data_dir=tmp_path_factory.mktemp("data"),
        hs256_secret=SECRET,
        hs256_until=in_days(30),
    ) as service:
        service.secrets.add(SECRET)
        yield service


async def test_verify_takes_an_old_token_and_shows_when_it_did(service: Service, logs: Logs) -> None:
    taken_before = await service.metric("auth_hs256_accepted_total")
    token = old_token()

    claims = await service.verify(token)

    assert (claims.user_number, claims.username, list(claims.roles)) == (1001, "Ada", ["staff"])
    assert claims.expires_at.seconds == jwt.decode(token, options={"verify_signature": False})["exp"]
    told = {field.name for field, _ in claims.ListFields()}
    assert told == {"user_number", "username", "roles", "expires_at"}
    assert await service.metric("auth_hs256_accepted_total") == taken_before + 1
    assert abs(await service.metric("auth_hs256_last_seen_timestamp_seconds") - datetime.now(UTC).timestamp()) < 60
    assert logs.named("hs256.accepted")
    assert SECRET not in logs.text
    assert token not in logs.text


async def test_our_own_tokens_are_what_they_were(service: Service) -> None:
    pair = await service.login()

    assert (await service.verify(pair.access_token)).key_id
    assert await service.refresh(pair.refresh_token)


async def test_nobody_calls_with_an_old_token(service: Service) -> None:
    token = old_token()

    listed = await refusal(service.experiments(1001, token))
    refreshed = await refusal(service.refresh(token))

    assert listed.verdict == REFUSED
    assert refreshed.verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
    request = auth_pb2.ListExperimentsRequest(user_number=1001)
    assert (await refusal(service.auth.ListExperiments(request, metadata=bearer(token)))).verdict == REFUSED


async def test_no_verifier_elsewhere_takes_one(service: Service) -> None:
    keys = FixedKeys(KeySet.from_jwks({"keys": await service.jwks()}))

    with pytest.raises(TokenRefused) as caught:
        TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys).verify_now(old_token())

    assert caught.value.reason == "algorithm"


@pytest.mark.row("S1")
async def test_our_public_keys_are_no_secrets(service: Service) -> None:
    [published, *_] = await service.jwks()
    public = jwt.PyJWK(published).key
    forms = [
        *(
            public.public_bytes(encoding, form)
            for encoding in (Encoding.PEM, Encoding.DER)
            for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)
        ),
        json.dumps(published).encode(),
        json.dumps(published, separators=(",", ":")).encode(),
        published["n"].encode(),
        b"",
    ]
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    for secret in forms:
        signed = old_token().rpartition(".")[0]
        forged = f"{signed}.{jwt.utils.base64url_encode(hmac.sign(signed.encode(), secret)).decode()}"
        assert (await refusal(service.verify(forged))).verdict == REFUSED


@pytest.mark.row("S1")
async def test_no_header_wishes_for_the_old_secret(service: Service) -> None:
    [published, *_] = await service.jwks()
    pair = await service.login()
    claims = json.loads(jwt.utils.base64url_decode(pair.access_token.split(".")[1]))
    wishes: list[dict[str, Any]] = [
        {"alg": "HS256", "typ": "JWT", "kid": published["kid"]},
        {"alg": "HS256", "typ": "at+jwt"},
        {"alg": "RS256", "typ": "at+jwt", "kid": published["kid"]},
        {"alg": "RS256", "typ": "JWT"},
        {"alg": "none", "typ": "JWT"},
        {"alg": "HS512", "typ": "JWT"},
    ]
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    for wish in wishes:
        for payload in (claims, jwt.decode(old_token(), options={"verify_signature": False})):
            head, body = (
                jwt.utils.base64url_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (wish, payload)
            )
            signature = jwt.utils.base64url_encode(hmac.sign(head + b"." + body, SECRET.encode()))
            assert (await refusal(service.verify(b".".join([head, body, signature]).decode()))).verdict == REFUSED
    # And a good signature of ours under the old header.
    kid, private_key = await service.private_key()
    mixed = jwt.encode(claims, private_key, algorithm="RS256", headers={"kid": kid, "typ": "at+jwt"}).split(".")
    mixed[0] = old_token().split(".")[0]
    assert (await refusal(service.verify(".".join(mixed)))).verdict == REFUSED


async def test_the_consumer_in_the_guide_takes_both_kinds(service: Service) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "coming-from-hs256.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "def claims_of" in block)
    names: dict[str, Any] = {
        "jwt": jwt,
        "ISSUER": f"http://{service.where.http}",
        "AUDIENCE": AUDIENCE,
        "JWT_SECRET": SECRET,
    }
    exec(code, names)
    # Its public address is not where it listens here.
    names["ISSUER"] = ISSUER

    async def number(token: str) -> object:
        return (await asyncio.to_thread(names["claims_of"], token))["usernumber"]

    assert await number((await service.login()).access_token) == 1001
    assert await number(old_token()) == 1001
    only_exp = jwt.encode({"exp": int(datetime.now(UTC).timestamp()) + 60}, SECRET, algorithm="HS256")
    for bad in (old_token(secret="another secret of thirty-two letters"), only_exp, old_token() + "x"):
        with pytest.raises(jwt.InvalidTokenError):
            await number(bad)


async def test_an_expired_one_says_so_and_another_secret_does_not(service: Service) -> None:
    past = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp())

    assert (await refusal(service.verify(old_token(exp=past)))).verdict == ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    assert (await refusal(service.verify(old_token(secret=SECRET + "!", exp=past)))).verdict == REFUSED


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({}, "algorithm"), ({"hs256_secret": SECRET, "hs256_until": in_days(-1)}, "hs256_over")],
    ids=["never asked for", "over"],
)
async def test_off_is_off(
    databases: Databases, facility: Facility, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=tmp_path, waits=True, **settings) as service:
        assert (await refusal(service.verify(old_token()))).verdict == REFUSED
        why = rf'auth_refusals_total\{{method="/auth_api.v1.AuthService/Verify",reason="{reason}"\}}'

        async def is_counted() -> bool:
            return await service.metric(why) == 1

        # The caller may know before it is.
        await eventually(is_counted)
