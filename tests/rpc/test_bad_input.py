"""What arrives broken, hostile or from elsewhere: each gets its status and reason, and the log gets no secret of it."""

import base64
import hashlib
import hmac
import json
import random
import time
import unicodedata
import zlib
from collections.abc import AsyncIterator, Awaitable
from uuid import uuid4

import grpc
import pytest
from aiohttp import web
from auth_api.v1 import auth_pb2, keys_pb2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from auth_service.demo import Facility
from auth_service.rpc.permissions import OUR_FILES, PERMISSIONS
from tests.client.minting import b64, compact
from tests.rpc.conftest import Start
from tests.support.service import (
    AUDIENCE,
    ISSUER,
    PORTAL_API_KEY,
    Logs,
    Service,
    admin_token,
    bearer,
    refusal,
)

# Without the streams: what happens to be well-formed opens one, which goes on.
OUR_METHODS = sorted(
    f"/{service.full_name}/{method.name}"
    for file in OUR_FILES
    for service in file.services_by_name.values()
    for method in service.methods
    if not method.server_streaming
)
CONTROL = ["\0", "\n", "\r\nInjected: yes", "\x1b[31m", "\x7f", "\x85"]


@pytest.fixture(autouse=True)
def nothing_leaks(logs: Logs, request: pytest.FixtureRequest) -> AsyncIterator[None]:  # type: ignore[misc]
    """After each test: no traceback, no defect and no secret in what was logged."""
    logs.clear()
    yield
    text = logs.text
    assert "Traceback" not in text
    assert "rpc.defect" not in text
    assert not [
        line for line in logs.lines if line["level"] in ("error", "critical") and line["event"] != "refresh.ahead"
    ]
    service = request.node.funcargs.get("service")
    for secret in service.secrets if isinstance(service, Service) else ():
        assert secret not in text


@pytest.fixture(scope="module")
async def canary() -> AsyncIterator[tuple[str, list[str]]]:
    """An address that nobody must ever fetch, and what was fetched from it."""
    hits: list[str] = []

    async def hit(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.json_response({"keys": []})

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", hit)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", hits
    await runner.cleanup()


def login(service: Service, username: str, password: str) -> Awaitable[auth_pb2.LoginResponse]:
    if len(password) > 8:
        service.secrets.add(password)
    return service.auth.Login(auth_pb2.LoginRequest(username=username, password=password))


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        ("", "password-of-nobody", "username"),
        (" \t ", "password-of-nobody", "username"),
        ("x" * 256, "password-of-nobody", "username"),
        ("x" * 900_000, "password-of-nobody", "username"),
        ("\u0344" * 300_000, "password-of-nobody", "username"),
        *((f"user1001{each}", "user1001-password", "username") for each in CONTROL),
        ("user1001", "", "password"),
        ("user1001", "p" * 1025, "password"),
        ("user1001", "p" * 900_000, "password"),
        ("user1001", "user1001-password\0", "password"),
        ("user1001", "\0user1001-password", "password"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_name_or_password_out_of_bounds_names_its_field(
    service: Service, username: str, password: str, field: str
) -> None:
    refused = await refusal(login(service, username, password))

    assert refused.verdict == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refused.fields == {field}
    assert "1001-password" not in refused.message


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("' OR '1'='1", "' OR '1'='1"),
        ("user1001' --", "user1001-password"),
        ('user1001"}) { proposals { referenceNumber } } #', "x"),
        ("*)(uid=*))(|(uid=*", "x"),
        ("{{7*7}}", "${jndi:ldap://x}"),
        ("USER1001", "user1001-password"),
        ("user1001 ", "user1001-password"),
        ("user1001\u200b", "user1001-password"),
        ("ｕｓｅｒ1001", "user1001-password"),
        ("user1001", "USER1001-PASSWORD"),
        ("user1001", "user1001-password "),
        ("x" * 255, "p" * 1024),
    ],
)
async def test_odd_names_and_passwords_are_just_wrong(service: Service, username: str, password: str) -> None:
    refused = await refusal(login(service, username, password))

    assert refused.verdict == ("UNAUTHENTICATED", "BAD_CREDENTIALS")


@pytest.mark.row("E3")
async def test_an_unnormalised_name_and_password_sign_in_as_their_nfc(service: Service, facility: Facility) -> None:
    name, password = "zoë", "pâssword of zoë"
    facility.knows(name, password, number=6001)
    assert unicodedata.normalize("NFD", name) != name

    for form in ("NFC", "NFD"):
        pair = await login(service, unicodedata.normalize(form, name), unicodedata.normalize(form, password))
        assert (await service.verify(pair.access_token)).user_number == 6001


def field_of(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, size = b"", len(value)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"abc\x80", b"\xf5\x80\x80\x80"])
@pytest.mark.parametrize("method", ["Login", "Verify", "Refresh", "Logout", "ListExperiments"])
async def test_text_that_is_no_utf8_is_a_malformed_message(service: Service, method: str, text: bytes) -> None:
    number = 3 if method == "ListExperiments" else 1
    call = service.raw(f"/auth_api.v1.AuthService/{method}")

    refused = await refusal(call(field_of(number, text), metadata=bearer(PORTAL_API_KEY)))

    assert refused.verdict == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


@pytest.mark.row("S79")
@pytest.mark.parametrize("method", OUR_METHODS)
async def test_random_bytes_are_refused_or_read_but_never_a_defect(service: Service, method: str, logs: Logs) -> None:
    # An administrator may do everything but see another's experiments.
    sees_experiments = PERMISSIONS[method].scope == "experiments:read"
    may = bearer(PORTAL_API_KEY if sees_experiments else await admin_token(service))
    logs.clear()
    chance = random.Random(method)
    call = service.raw(method)
    # A rotation that happens to be well-formed would change the ring for other tests: it names a version.
    prefix = b"\x08\xff\xff\x03" if "Rotate" in method else b""
    messages = [chance.randbytes(chance.randrange(1, 200)) for _ in range(60)]
    messages += [b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 500, field_of(1, b"x") * 1000]

    codes: dict[str, int] = {}
    for message in messages:
        try:
            await call(prefix + message, metadata=may)
            code = "OK"
        except grpc.aio.AioRpcError as error:
            code = error.code().name
        codes[code] = codes.get(code, 0) + 1

    refusals = {
        "INVALID_ARGUMENT",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "NOT_FOUND",
        "ABORTED",
        "FAILED_PRECONDITION",
    }
    assert codes.keys() <= {"OK"} | refusals
    assert codes["INVALID_ARGUMENT"] > 20
    # One line a message at most, and none that grows with it.
    assert len(logs.text) < 400 * len(messages)


# --- access tokens ---------------------------------------------------------------------------------------------------


class Forger:
    """Tokens with a right signature by our own key, and whatever in them."""

    def __init__(self, kid: str, key: rsa.RSAPrivateKey) -> None:
        self.kid = kid
        self.key = key

    def header(self, **changes: object) -> dict[str, object]:
        return {"alg": "RS256", "typ": "at+jwt", "kid": self.kid} | changes

    def claims(self, **changes: object) -> dict[str, object]:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "sub": str(uuid4()),
            "aud": AUDIENCE,
            "exp": now + 300,
            "iat": now,
            "jti": str(uuid4()),
            "sid": str(uuid4()),
            "client_id": "x",
            "roles": ["user"],
        }
        return {name: value for name, value in (claims | changes).items() if value is not ...}

    def token(
        self, header: dict[str, object] | bytes | None = None, claims: dict[str, object] | bytes | None = None
    ) -> str:
        parts = [self.header() if header is None else header, self.claims() if claims is None else claims]
        signed = ".".join(b64(part if isinstance(part, bytes) else compact(part)) for part in parts)
        return f"{signed}.{b64(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


@pytest.fixture
async def forger(service: Service) -> Forger:
    return Forger(*await service.private_key())


def hostile_tokens(forger: Forger, canary: str, genuine: str) -> dict[str, str]:
    header, claims, token = forger.header, forger.claims, forger.token
    public = forger.key.public_key()
    spki = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    stranger = Forger(forger.kid, own)
    numbers = own.public_key().public_numbers()
    own_jwk = {"kty": "RSA", "n": b64(numbers.n.to_bytes(256)), "e": "AQAB", "kid": "own", "alg": "RS256"}
    now = int(time.time())
    head, body, signature = genuine.split(".")

    def mac(algorithm: str) -> str:
        signed = f"{b64(compact(header(alg=algorithm)))}.{b64(compact(claims()))}"
        return f"{signed}.{b64(hmac.digest(spki, signed.encode(), 'sha256'))}"

    def unsigned(algorithm: str) -> str:
        return f"{b64(compact(header(alg=algorithm)))}.{b64(compact(claims()))}."

    duplicate_claim = compact(claims())[:-1] + b',"sub":"somebody else"}'
    duplicate_header = compact(header())[:-1] + b',"alg":"none"}'
    return {
        "empty": "",
        "one dot": "a.b",
        "four dots": f"{genuine}.x",
        "not ascii": "é.é.é",
        "NUL": genuine + "\0",
        "space": genuine + " ",
        "1 MB": "e30." + "A" * 1_000_000 + ".e30",
        "over 8 KiB": token(claims=claims(more="x" * 8192)),
        "none": unsigned("none"),
        "None": unsigned("None"),
        "nOnE with a signature": unsigned("nOnE") + signature,
        "HS256 with our public key": mac("HS256"),
        "HS512 by name": mac("HS512"),
        "PS256": token(header(alg="PS256")),
        "RS512": token(header(alg="RS512")),
        "ES256": token(header(alg="ES256")),
        "alg missing": token({"typ": "at+jwt", "kid": forger.kid}),
        "alg a list": token(header(alg=["RS256"])),
        "crit": token(header(crit=["exp"])),
        "crit unknown": token(header(crit=["urn:x"], **{"urn:x": True})),
        "jku": token(header(jku=f"{canary}/jku")),
        "jku of a stranger": stranger.token(header(jku=f"{canary}/jku")),
        "jwk": token(header(jwk=own_jwk)),
        "jwk of a stranger": stranger.token(header(jwk=own_jwk, kid="own")),
        "x5u": token(header(x5u=f"{canary}/x5u")),
        "x5u of a stranger": stranger.token(header(x5u=f"{canary}/x5u")),
        "x5c": token(header(x5c=["AAAA"])),
        "zip": token(header(zip="DEF"), zlib.compress(compact(claims()))),
        "b64": token(header(b64=False, crit=["b64"])),
        "enc": token(header(enc="A256GCM")),
        "duplicate claim": token(claims=duplicate_claim),
        "duplicate header": token(duplicate_header),
        "exp a string": token(claims=claims(exp=str(now + 300))),
        "exp 1e30": token(claims=compact(claims()).replace(str(now + 300).encode(), b"1e30")),
        "exp true": token(claims=claims(exp=True)),
        "exp null": token(claims=claims(exp=None)),
        "no exp": token(claims=claims(exp=...)),
        "exp NaN": token(claims=compact(claims(exp="NaN")).replace(b'"NaN"', b"NaN")),
        "iat tomorrow": token(claims=claims(iat=now + 86_400, exp=now + 90_000)),
        "nbf tomorrow": token(claims=claims(nbf=now + 86_400, exp=now + 90_000)),
        "typ JWT": token(header(typ="JWT")),
        "typ refresh": token(header(typ="rt+jwt")),
        "no typ": token({"alg": "RS256", "kid": forger.kid}),
        "iss of another": token(claims=claims(iss="https://elsewhere.example")),
        "iss a prefix": token(claims=claims(iss=ISSUER[:-1])),
        "iss with a slash": token(claims=claims(iss=ISSUER + "/")),
        "iss a list": token(claims=claims(iss=[ISSUER])),
        "no iss": token(claims=claims(iss=...)),
        "aud of another": token(claims=claims(aud="elsewhere")),
        "aud of others": token(claims=claims(aud=["elsewhere", "more"])),
        "aud empty": token(claims=claims(aud=[])),
        "no aud": token(claims=claims(aud=...)),
        "no sub": token(claims=claims(sub=...)),
        "sub empty": token(claims=claims(sub="")),
        "sub NUL": token(claims=claims(sub="a\0b")),
        "sub a number": token(claims=claims(sub=7)),
        "unknown kid": token(header(kid="unknown")),
        "kid a path": token(header(kid="../../../../dev/null")),
        "kid SQL": token(header(kid="' UNION SELECT 'x")),
        "kid an address": token(header(kid=f"{canary}/kid")),
        "kid NUL": token(header(kid=f"{forger.kid}\0")),
        "kid huge": token(header(kid="k" * 500)),
        "kid a number": token(header(kid=1)),
        "no kid": token({"alg": "RS256", "typ": "at+jwt"}),
        "signed by a stranger": stranger.token(),
        "signature cut": genuine[:-8],
        "signature empty": f"{head}.{body}.",
        "padded": f"{head}.{body}.{signature}==",
        "standard alphabet": f"{head}.{body}.{signature[:-2]}+/",
        "payload of another": f"{head}.{b64(compact(claims()))}.{signature}",
        "UTF-16": token(claims=json.dumps(claims()).encode("utf-16")),
        "BOM": token(claims=b"\xef\xbb\xbf" + compact(claims())),
        "nested deep": token(claims=b'{"exp":' + b"[" * 3000 + b"]" * 3000 + b"}"),
        "an array": token(claims=b"[]"),
        "JWE": "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA",
    }


@pytest.mark.row("S16", "S11")
async def test_no_hostile_token_is_believed_and_nothing_is_fetched_for_it(
    service: Service, forger: Forger, canary: tuple[str, list[str]], logs: Logs
) -> None:
    address, hits = canary
    genuine = (await service.login()).access_token
    assert (await service.verify(forger.token())).roles == ["user"]
    tokens = hostile_tokens(forger, address, genuine)
    service.secrets |= {token for token in tokens.values() if len(token) > 40}

    for name, token in tokens.items():
        refused = await refusal(service.verify(token))
        assert refused.verdict == ("UNAUTHENTICATED", "TOKEN_INVALID"), name
        assert refused.message == "the access token is not valid", name

    as_callers = {name: token for name, token in tokens.items() if token.isascii() and token.isprintable()}
    for name, token in as_callers.items():
        if len(token) > 8000 or token.strip() != token or not token:
            continue
        refused = await refusal(service.experiments(1001, token))
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED, name
        assert refused.reason in ("TOKEN_INVALID", "CREDENTIALS_INVALID"), name
    assert hits == []
    assert {line["reason"] for line in logs.named("rpc", code="UNAUTHENTICATED")} >= {
        *("algorithm", "audience", "claim", "crit", "header", "issuer", "malformed", "not_yet_valid"),
        *("signature", "too_large", "typ", "unknown_key"),
    }


async def test_an_expired_token_says_so(service: Service, forger: Forger) -> None:
    now = int(time.time())
    expired = forger.token(claims=forger.claims(iat=now - 1000, exp=now - 61))
    within_the_leeway = forger.token(claims=forger.claims(iat=now - 1000, exp=now - 30))

    assert (await refusal(service.verify(expired))).verdict == ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    assert (await refusal(service.experiments(1001, expired))).reason == "TOKEN_EXPIRED"
    assert (await service.verify(within_the_leeway)).issuer == ISSUER


async def test_our_audience_among_others_is_ours(service: Service, forger: Forger) -> None:
    token = forger.token(claims=forger.claims(aud=["elsewhere", AUDIENCE]))

    assert list((await service.verify(token)).audience) == ["elsewhere", AUDIENCE]


async def test_a_token_of_a_key_that_does_not_sign_yet_any_more_or_ever_again(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    first = Forger(*await service.private_key())
    await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)

    assert (await service.verify(first.token())).issuer == ISSUER
    await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=first.kid), metadata=admin)
    assert (await refusal(service.verify(first.token()))).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    forged = Forger(first.kid, rsa.generate_private_key(public_exponent=65537, key_size=2048)).token()
    assert (await refusal(service.verify(forged))).code is grpc.StatusCode.UNAUTHENTICATED


# --- refresh tokens --------------------------------------------------------------------------------------------------


@pytest.mark.row("S42", "S33")
async def test_a_refresh_token_has_one_spelling_and_one_deployment(service: Service, start: Start) -> None:
    pair = await service.login()
    token = pair.refresh_token
    elsewhere = await start(key_encryption_keys=base64.b64encode(hashlib.sha256(b"elsewhere").digest()).decode())
    foreign = (await elsewhere.login()).refresh_token
    mutants = [
        token[:-1],
        token[:40],
        token + "A",
        token + "=",
        token + "\n",
        " " + token,
        "rt2." + token[4:],
        token[4:],
        token.upper(),
        token.replace("-", "+").replace("_", "/") + "\0",
        "rt1." + "A" * 80,
        "rt1." + "é" * 80,
        "rt1.",
        "x" * 1_000_000,
        pair.access_token,
        foreign,
        *(token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(4, 84, 9)),
    ]

    for mutant in mutants:
        refused = await refusal(service.refresh(mutant))
        assert refused.verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID"), mutant[:20]
        assert await service.logout(mutant) == auth_pb2.LogoutResponse()

    assert (await service.refresh(token)).session_id == pair.session_id


@pytest.mark.row("B4", "S40")
async def test_a_refresh_token_is_no_access_token(service: Service) -> None:
    pair = await service.login()

    assert (await refusal(service.verify(pair.refresh_token))).reason == "TOKEN_INVALID"


async def test_a_genuine_token_of_a_session_that_never_was_is_expired(service: Service) -> None:
    token = service.refresh_tokens.write(uuid4(), 1)

    assert (await refusal(service.refresh(token))).reason == "REFRESH_TOKEN_EXPIRED"
    assert await service.logout(token) == auth_pb2.LogoutResponse()


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.row("S72")
@pytest.mark.parametrize("method", ["Login", "Verify", "Refresh", "Logout"])
async def test_a_message_over_a_mebibyte_is_refused_by_its_size(service: Service, method: str) -> None:
    call = service.raw(f"/auth_api.v1.AuthService/{method}")

    refused = await refusal(call(field_of(1, b"x" * (5 << 20))))

    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await service.login()).session_id


@pytest.mark.row("S73")
async def test_a_compressed_bomb_counts_inflated(service: Service) -> None:
    call = service.raw("/auth_api.v1.AuthService/Verify")

    refused = await refusal(call(field_of(1, b"x" * (64 << 20)), compression=grpc.Compression.Gzip))

    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await service.login()).session_id


@pytest.mark.row("S74")
@pytest.mark.parametrize("key", ["authorization", "x-request-id", "x-anything"])
async def test_64_kib_of_metadata_are_refused(service: Service, key: str) -> None:
    request = auth_pb2.GetServerInfoRequest()
    async with grpc.aio.insecure_channel(str(service.where.grpc)) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/auth_api.v1.AuthService/GetServerInfo"
        )

        refused = await refusal(call(request.SerializeToString(), metadata=((key, "x" * (64 << 10)),)))

        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await call(request.SerializeToString())
