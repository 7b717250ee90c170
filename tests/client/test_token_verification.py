"""Security bar, section 1: which tokens are believed. The row number stands beside each group."""

import hashlib
import hmac
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from auth_client import (
    FixedKeys,
    KeySet,
    TokenExpired,
    TokenInvalid,
    TokenRefused,
    TokenRevoked,
    TokenVerifier,
    VerifiedToken,
)
from auth_client import claims as reading
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.minting import (
    ABSENT,
    AUDIENCE,
    ISSUER,
    NOW,
    b64,
    claims,
    compact,
    header,
    key_set,
    private_key,
    sign,
    signature,
    token,
    verifier,
)


def reason(text: object, checker: TokenVerifier | None = None) -> str:
    """Why `text` is refused; fails if it is not. No message may quote it."""
    with pytest.raises(TokenRefused) as refused:
        (checker or verifier()).verify_now(text)  # type: ignore[arg-type] # Also fed what is no str.
    if isinstance(text, str) and len(text) > 20:
        assert text[:20] not in str(refused.value)
        assert text[-20:] not in str(refused.value)
    return refused.value.reason


def with_signature(head: dict[str, object], made: bytes) -> str:
    return f"{b64(compact(head))}.{b64(compact(claims()))}.{b64(made)}"


def signed_part(head: dict[str, object]) -> bytes:
    return f"{b64(compact(head))}.{b64(compact(claims()))}".encode()


def test_good_token_says_what_its_claims_say() -> None:
    verified = verifier().verify_now(token())

    assert verified.subject == "0d7f4c1e-8a51-4c2e-9a37-5d1f0c9b7e42"
    assert verified.session_id == "7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55"
    assert verified.token_id == "b9c1d8f04f3a4d6f9a6b2c7e1d0f5a38"
    assert verified.issuer == ISSUER
    assert verified.audience == (AUDIENCE,)
    assert verified.roles == ("user", "instrument-scientist")
    assert verified.user_number == 1234567
    assert verified.username == "ada"
    assert verified.client_id == "facility"
    assert verified.key_id == "first"
    assert verified.issued_at == datetime.fromtimestamp(NOW, UTC)
    assert verified.expires_at == verified.issued_at + timedelta(minutes=10)
    assert verified.claims == claims()


def test_optional_claims_may_be_absent() -> None:
    names = ("iat", "jti", "sid", "client_id", "roles", "usernumber", "role", "username")

    verified = verifier().verify_now(token(**dict.fromkeys(names, ABSENT)))

    assert (verified.session_id, verified.token_id, verified.username, verified.client_id) == ("", "", "", "")
    assert verified.roles == ()
    assert verified.user_number is None
    assert verified.issued_at == datetime.fromtimestamp(0, UTC)


def test_verified_token_cannot_be_changed() -> None:
    verified = verifier(cache_size=10).verify_now(token())

    with pytest.raises(AttributeError):
        verified.subject = "somebody else"  # type: ignore[misc] # That is the point.
    verified.claims["roles"].append("staff")  # type: ignore[attr-defined] # Changes a copy only.

    assert "staff" not in verified.roles
    assert verified.claims["roles"] == ["user", "instrument-scientist"]


def test_payload_in_another_spelling_of_json_is_as_good() -> None:
    spaced = json.dumps(claims(username="Zoë Müller"), indent=2, ensure_ascii=False).encode()
    escaped = compact(claims(username="Zoë Müller"))

    for payload in (spaced, escaped):
        assert verifier().verify_now(sign(header(), payload)).username == "Zoë Müller"


# The algorithm.


@pytest.mark.row("S1")
@pytest.mark.parametrize(
    "alg",
    [
        "none",
        "None",
        "nOnE",
        "HS256",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "ES256",
        "EdDSA",
        "rs256",
        "RS256 ",
        "RS256\0",
        "",
        None,
        ["RS256"],
        {"alg": "RS256"},
        256,
        True,
        ABSENT,
    ],
)
def test_only_rs256_is_accepted(alg: object) -> None:
    head = header(alg=alg)

    assert reason(sign(head, claims())) == "algorithm"
    assert reason(with_signature(head, b"")) in {"algorithm", "malformed"}


@pytest.mark.row("S1")
def test_public_key_is_no_hmac_secret() -> None:
    public = private_key().public_key()
    for spelling in (
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
    ):
        for alg in ("HS256", "RS256"):
            made = hmac.digest(spelling, signed_part(header(alg=alg)), hashlib.sha256)

            assert reason(with_signature(header(alg=alg), made)) in {"algorithm", "signature"}


@pytest.mark.row("S2")
@pytest.mark.parametrize("alg", ["RS256", "PS256", "RS384", "RS512"])
def test_right_key_with_another_scheme_is_refused(alg: str) -> None:
    head = header(alg=alg)
    schemes = [
        (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
        (padding.PKCS1v15(), hashes.SHA384()),
        (padding.PKCS1v15(), hashes.SHA512()),
        (padding.PKCS1v15(), hashes.SHA1()),
    ]
    for scheme, digest in schemes:
        made = signature(signed_part(head), scheme=scheme, digest=digest)

        assert reason(with_signature(head, made)) == ("signature" if alg == "RS256" else "algorithm")


@pytest.mark.row("S2")
def test_signatures_of_other_kinds_of_key_are_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).sign(signed_part(header()), ec.ECDSA(hashes.SHA256()))
    edwards = ed25519.Ed25519PrivateKey.generate().sign(signed_part(header()))

    assert reason(with_signature(header(), curve)) == "signature"
    assert reason(with_signature(header(), edwards)) == "signature"


# The type.


@pytest.mark.row("S4")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_access_token_types_are_accepted_in_any_case(typ: str) -> None:
    assert verifier().verify_now(sign(header(typ=typ), claims()))


@pytest.mark.row("S4")
@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "rt+jwt",
        "id+jwt",
        "logout+jwt",
        "application/jwt",
        "at+jwt ",
        "at+jwt\0",
        "text/at+jwt",
        "",
        None,
        ["at+jwt"],
        1,
        True,
        ABSENT,
    ],
)
def test_other_types_are_refused(typ: object) -> None:
    assert reason(sign(header(typ=typ), claims())) == "typ"


# The issuer and the audience.


@pytest.mark.row("S5")
@pytest.mark.parametrize(
    "iss",
    [
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER[:-1],
        ISSUER + "\0",
        " " + ISSUER,
        "",
        None,
        [ISSUER],
        {ISSUER: 1},
        1,
        ABSENT,
    ],
)
def test_issuer_is_compared_whole(iss: object) -> None:
    assert reason(token(iss=iss)) == "issuer"


@pytest.mark.row("S6")
@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE], [AUDIENCE, AUDIENCE]])
def test_our_audience_alone_or_in_a_list_is_accepted(aud: object) -> None:
    assert AUDIENCE in verifier().verify_now(token(aud=aud)).audience


@pytest.mark.row("S6")
@pytest.mark.parametrize("aud", ["", "other", AUDIENCE + "x", AUDIENCE[:-1], AUDIENCE.upper(), [], ["other"], ABSENT])
def test_other_audiences_are_refused(aud: object) -> None:
    assert reason(token(aud=aud)) == "audience"


@pytest.mark.parametrize("aud", [None, 1, True, {AUDIENCE: 1}, [AUDIENCE, 1], [AUDIENCE, None], [[AUDIENCE]]])
def test_audience_of_another_shape_is_refused_even_if_nobody_asks(aud: object) -> None:
    assert reason(token(aud=aud)) == "claim"
    assert reason(token(aud=aud), verifier(audience=None)) == "claim"


def test_audience_check_is_off_only_by_name() -> None:
    assert verifier(audience=None).verify_now(token(aud="other")).audience == ("other",)
    assert verifier(audience=None).verify_now(token(aud=ABSENT)).audience == ()
    with pytest.raises(TypeError):
        TokenVerifier(issuer=ISSUER, keys=FixedKeys(key_set()))  # type: ignore[call-arg] # That is the point.
    with pytest.raises(ValueError, match="empty"):
        verifier(audience="")


# Time.

NO_TIMES: list[object] = [
    "1800000600",
    "",
    None,
    True,
    [NOW],
    {},
    -1,
    -0.5,
    253_402_300_800,
    1e30,
    10**400,
    float("nan"),
    float("inf"),
]


@pytest.mark.row("S7", "E22")
@pytest.mark.parametrize("exp", [*NO_TIMES, ABSENT])
def test_exp_is_a_number_before_the_year_9999(exp: object) -> None:
    assert reason(token(exp=exp)) in {"claim", "malformed"}


@pytest.mark.row("S8")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("value", NO_TIMES)
def test_iat_and_nbf_are_numbers_if_present(claim: str, value: object) -> None:
    assert reason(token(**{claim: value})) in {"claim", "malformed"}


@pytest.mark.row("S7")
def test_token_is_refused_from_leeway_after_exp() -> None:
    for late, accepted in ((0, True), (59, True), (59.9, True), (60, False), (61, False), (1e9, False)):
        checker = verifier(clock=lambda late=late: NOW + 600 + late)
        if accepted:
            assert checker.verify_now(token())
        else:
            with pytest.raises(TokenExpired) as refused:
                checker.verify_now(token())
            assert (refused.value.reason, refused.value.code) == ("expired", "TOKEN_EXPIRED")


@pytest.mark.row("S8")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_token_from_the_future_is_refused_beyond_the_leeway(claim: str) -> None:
    assert verifier().verify_now(token(**{claim: NOW + 60}))
    assert verifier().verify_now(token(**{claim: NOW + 0.5}))
    assert reason(token(**{claim: NOW + 61})) == "not_yet_valid"


@pytest.mark.row("S7", "S8")
def test_a_clock_that_is_a_minute_off_refuses_no_fresh_token_and_one_that_is_five_off_does() -> None:
    for off in (-60, -59, 0, 60):
        assert verifier(clock=lambda off=off: NOW + off).verify_now(token(nbf=NOW))
        assert verifier(clock=lambda off=off: NOW + off).verify_now(token(exp=NOW + 1 + max(0, off)))
    assert reason(token(), verifier(clock=lambda: NOW - 300)) == "not_yet_valid"
    assert reason(token(exp=NOW + 60), verifier(clock=lambda: NOW + 300)) == "expired"


def test_leeway_has_limits() -> None:
    assert reason(token(exp=NOW), verifier(leeway=timedelta(0))) == "expired"
    for leeway in (timedelta(seconds=-1), timedelta(minutes=6)):
        with pytest.raises(ValueError, match="leeway"):
            verifier(leeway=leeway)


def test_expiry_of_a_forged_token_is_not_told() -> None:
    genuine, other = token(exp=1), token()

    assert reason(genuine.rpartition(".")[0] + "." + other.rpartition(".")[2]) == "signature"


# The subject, and the other texts.


@pytest.mark.row("S9")
@pytest.mark.parametrize("sub", ["", "x" * 256, "a\0b", "\0", None, 1, True, ["x"], {}, ABSENT])
def test_subject_is_a_short_text(sub: object) -> None:
    assert reason(token(sub=sub)) == "claim"


def test_subject_may_be_255_characters_long() -> None:
    assert verifier().verify_now(token(sub="é" * 255)).subject == "é" * 255


@pytest.mark.parametrize("claim", ["sid", "jti", "client_id", "username"])
@pytest.mark.parametrize("value", ["x" * 256, "a\0b", None, 1, ["x"]])
def test_other_texts_are_texts_if_present(claim: str, value: object) -> None:
    assert reason(token(**{claim: value})) == "claim"


@pytest.mark.parametrize("roles", ["staff", None, 1, {"staff": True}, [1], ["user", None], ["a\0b"], [["staff"]]])
def test_roles_are_a_list_of_texts(roles: object) -> None:
    assert reason(token(roles=roles)) == "claim"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [("", ()), ("users:read", ("users:read",)), ("users:read audit:read", ("users:read", "audit:read")), (ABSENT, ())],
)
def test_scopes_are_the_words_of_the_scope(scope: object, scopes: tuple[str, ...]) -> None:
    assert verifier().verify_now(token(scope=scope)).scopes == scopes


@pytest.mark.parametrize("scope", [None, 1, ["users:read"], {"users:read": True}, "a\0b", "x" * 1025])
def test_a_scope_is_a_text(scope: object) -> None:
    assert reason(token(scope=scope)) == "claim"


@pytest.mark.parametrize("usernumber", [0, -1, 1.0, 1.5, "1", None, True, [1], 2**63, 10**400])
def test_user_number_is_a_positive_integer(usernumber: object) -> None:
    assert reason(token(usernumber=usernumber)) == "claim"


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\\udc00x"', b'"a\\ud83d"', b'"\xed\xa0\x80"'])
def test_lone_surrogates_are_refused_anywhere(text: bytes) -> None:
    for payload in (
        compact(claims(sub="SUB")).replace(b'"SUB"', text),
        compact(claims(note="NOTE")).replace(b'"NOTE"', text),
        compact(claims(NOTE=1)).replace(b'"NOTE"', text),
    ):
        assert reason(sign(header(), payload)) == "malformed"


def test_literal_backslashes_are_not_mistaken_for_nul() -> None:
    assert verifier().verify_now(token(username="a\\u0000b")).username == "a\\u0000b"


# The header.


@pytest.mark.row("S10")
@pytest.mark.parametrize("crit", [["b64"], ["exp"], [], None, "b64", ["http://example.com/unknown"], {}, 0])
def test_critical_extensions_are_refused(crit: object) -> None:
    assert reason(sign(header(crit=crit, b64=True), claims())) == "crit"


@pytest.mark.row("S10", "S11")
@pytest.mark.parametrize(
    "member",
    [
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"jku": "http://canary.example/jwks"},
        {"x5u": "http://canary.example/x"},
        {"x5c": ["MIIB"]},
        {"x5t": "abc"},
        {"cty": "JWT"},
        {"x5t#S256": "abc"},
        {"jwk": {"kty": "RSA"}},
    ],
)
def test_headers_that_bring_keys_or_encodings_are_refused(member: dict[str, object]) -> None:
    assert reason(sign(header(**member), claims())) == "header"


def test_unknown_header_members_are_ignored() -> None:
    assert verifier().verify_now(sign(header(version=7, note=[1, {"a": None}]), claims()))


@pytest.mark.row("S12")
@pytest.mark.parametrize("kid", ["", "x" * 129, None, 1, ["first"], {}, True, ABSENT])
def test_kid_is_a_short_text(kid: object) -> None:
    assert reason(sign(header(kid=kid), claims())) == "header"


@pytest.mark.row("S12")
@pytest.mark.parametrize(
    "kid",
    ["second", "First", "first ", "../../etc/passwd", "' OR 1=1 --", "http://canary.example/", "|id", "a\0b", "é"],
)
def test_unknown_kid_is_refused(kid: str) -> None:
    assert reason(sign(header(kid=kid), claims())) == "unknown_key"


def test_key_of_another_kid_does_not_count() -> None:
    keys = key_set("first", "second")

    assert reason(sign(header(kid="second"), claims(), key="first"), verifier(keys)) == "signature"
    assert verifier(keys).verify_now(sign(header(kid="second"), claims(), key="second")).key_id == "second"


# JSON.

PAYLOAD = compact(claims())
TWICE = [
    PAYLOAD[:-1] + b',"sub":"admin"}',
    b'{"sub":"admin",' + PAYLOAD[1:],
    PAYLOAD[:-1] + b',"\\u0073ub":"admin"}',
    PAYLOAD[:-1] + b', "sub" : "admin"}',
    PAYLOAD[:-1] + b',"deep":{"a":1,"a":1}}',
    PAYLOAD[:-1] + b',"deep":[{"a":{"b":1,"b":2}}]}',
    PAYLOAD[:-1] + b',"x":1,"x":1}',
]
BROKEN = [
    b"",
    b" ",
    b"null",
    b"[]",
    b'"text"',
    b"1",
    b"{",
    b"{}{}",
    b"{}x",
    PAYLOAD + b"\0",
    PAYLOAD[:-1],
    PAYLOAD[:-1] + b",}",
    b"\xef\xbb\xbf" + PAYLOAD,
    PAYLOAD.decode().encode("utf-16"),
    PAYLOAD.decode().encode("utf-16-le"),
    PAYLOAD.decode().encode("utf-16-be"),
    PAYLOAD.decode().encode("utf-32"),
    PAYLOAD.decode().encode("utf-32-le"),
    PAYLOAD.replace(b'"ada"', b'"\xff\xfe"'),
    PAYLOAD.replace(b'"ada"', b'"\xc0\x80"'),
    PAYLOAD.replace(b'"ada"', b"'ada'"),
    PAYLOAD.replace(b'"ada"', b"NaN"),
    PAYLOAD[:-1] + b',"x":NaN}',
    PAYLOAD[:-1] + b',"x":Infinity}',
    PAYLOAD[:-1] + b',"x":-Infinity}',
    PAYLOAD[:-1] + b',"x":1e999}',
    PAYLOAD[:-1] + b',"x":01}',
    PAYLOAD[:-1] + b',"x":+1}',
    PAYLOAD[:-1] + b',"x":"\n"}',
    PAYLOAD[:-1] + b',"x":' + b"9" * 5000 + b"}",
    b"[" * 5000,
    b"// c\n" + PAYLOAD,
]


@pytest.mark.row("S13")
@pytest.mark.parametrize("payload", TWICE + BROKEN)
def test_payload_that_is_not_strict_json_is_refused(payload: bytes) -> None:
    assert reason(sign(header(), payload)) == "malformed"


@pytest.mark.row("S13")
@pytest.mark.parametrize(
    "head",
    [
        b'{"alg":"RS256","typ":"at+jwt","kid":"first","alg":"RS256"}',
        b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"first"}',
        b'\xef\xbb\xbf{"alg":"RS256","typ":"at+jwt","kid":"first"}',
        b"[]",
        b"null",
        b"",
        b"{",
        b'{"alg":"RS256"',
        '{"alg":"RS256","typ":"at+jwt","kid":"first"}'.encode("utf-16"),
        b"[" * 700,
    ],
)
def test_header_that_is_not_strict_json_is_refused(head: bytes) -> None:
    assert reason(sign(head, claims())) == "malformed"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"":', b"}"), (b'[{"":', b"}]")])
def test_deep_json_is_read_or_refused_but_never_crashes(opening: bytes, closing: bytes) -> None:
    for levels in (10, 100, 500, 800, 1100, 2500):
        deep = PAYLOAD[:-1] + b',"x":' + opening * levels + b"0" + closing * levels + b"}"
        with suppress(TokenInvalid):
            assert verifier().verify_now(sign(header(), deep)).username == "ada"


def test_long_header_is_refused() -> None:
    assert reason(sign(header(note="x" * 1000), claims())) == "header"


# Base64url and segments.


@pytest.mark.row("S14")
def test_only_canonical_base64url_is_accepted() -> None:
    good = token()
    head, body, tail = good.split(".")
    tails = {
        f"{head}.{body}.{tail[:-1]}{last}"
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    }
    bad = [
        f"{head}.{body}.{tail}=",
        f"{head}.{body}.{tail}==",
        f"{head}=.{body}.{tail}",
        f"{head}.{body}==.{tail}",
        f"{good}\n",
        f" {good}",
        f"{head}.{body}\n.{tail}",
        f"{head}. {body}.{tail}",
        f"{good}\0",
        f'{head}.{body}.{tail[:-2]}""',
        good.replace("e", "é", 1),
        good.replace("e", "\ud800", 1),
    ]

    for text in (tails - {good}) | {good + "A", good + "AA"}:
        assert reason(text) in {"malformed", "signature"}
    assert all(reason(text) == "malformed" for text in bad)


@pytest.mark.row("S14")
def test_standard_alphabet_is_refused() -> None:
    for note in range(200):
        text = sign(header(), claims(note="?>" * 3 + str(note)))
        if "-" in text.rpartition(".")[2] and "_" in text.rpartition(".")[2]:
            break

    assert verifier().verify_now(text)
    assert reason(text.replace("-", "+")) == "malformed"
    assert reason(text.replace("_", "/")) == "malformed"


@pytest.mark.row("S14")
def test_exactly_three_segments_are_accepted() -> None:
    head, body, tail = token().split(".")

    for text in (
        "",
        ".",
        "..",
        "...",
        head,
        f"{head}.{body}",
        f"{head}.{body}.",
        f".{body}.{tail}",
        f"{head}..{tail}",
        f"{head}.{body}.{tail}.",
        f".{head}.{body}.{tail}",
        f"{head}.{body}.{tail}.{tail}",
        f"{head}.{head}.{body}.{tail}",
        f"{head}.{body}.{tail}.x.y",
    ):
        assert reason(text) == "malformed"


# Size and cleanliness.


@pytest.mark.row("S15")
def test_oversized_token_is_refused_before_it_is_parsed() -> None:
    for text in ("a" * 8193, "." * 3_000_000, token() + "A" * 8192, "é" * 8193):
        assert reason(text) == "too_large"
    assert verifier().verify_now(sign(header(), claims(note="x" * 5000)))


@pytest.mark.parametrize(
    "text", [None, 1, b"", token().encode(), [], {}, object(), True, 1.5, bytearray(b"x"), [token()]]
)
def test_what_is_no_str_is_refused(text: object) -> None:
    assert reason(text) == "malformed"
    assert reason(text, verifier(cache_size=5)) == "malformed"


@pytest.mark.row("S16")
@settings(deadline=None, max_examples=300)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,5}", fullmatch=True))
def test_any_text_is_refused_cleanly(text: str) -> None:
    assert reason(text)


@pytest.mark.row("S16")
@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_signed_bytes_are_refused_cleanly(head: bytes, payload: bytes) -> None:
    assert reason(sign(header(), payload))
    assert reason(sign(head, claims()))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(NOW + 600),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=500)
@given(
    st.dictionaries(st.sampled_from([*claims(), "nbf", "scope", "other"]), _JSON, max_size=3),
    st.booleans(),
    st.permutations(tuple(claims())),
)
def test_what_is_read_the_quick_way_is_what_would_be_read_with_care(
    changes: dict[str, object], is_compact: bool, order: list[str]
) -> None:
    members = claims() | changes
    document = {name: members[name] for name in [*order, *members] if name in members}
    payload = json.dumps(document, separators=(",", ":") if is_compact else None).encode()

    quick = reading._read_as_written(payload)

    assert quick is None or quick == reading._read(payload)


@pytest.mark.row("S17")
def test_encrypted_tokens_are_refused() -> None:
    for head in (
        {"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF"},
        {"alg": "PBES2-HS256+A128KW", "p2c": 2 * 10**9},
        {"alg": "dir", "enc": "A128GCM"},
    ):
        segments = [b64(compact(head | {"typ": "at+jwt", "kid": "first"})), "AAAA", "AAAA", "AAAA", "AAAA"]

        assert reason(".".join(segments)) == "malformed"
        assert reason(".".join(segments[:3])) == "algorithm"


# Revocation, and the tree of errors.


def test_revoked_token_is_refused_by_its_own_name() -> None:
    ended = {"7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55"}
    checker = verifier(is_revoked=lambda verified: verified.session_id in ended)

    with pytest.raises(TokenRevoked) as refused:
        checker.verify_now(token())

    assert (refused.value.reason, refused.value.code) == ("revoked", "TOKEN_REVOKED")
    assert checker.verify_now(token(sid="another"))


def test_outsiders_hear_one_of_three_codes() -> None:
    assert {kind.code for kind in (TokenInvalid, TokenExpired, TokenRevoked)} == {
        "TOKEN_INVALID",
        "TOKEN_EXPIRED",
        "TOKEN_REVOKED",
    }


async def test_verify_and_verify_now_agree() -> None:
    checker = verifier()

    assert await checker.verify(token()) == checker.verify_now(token())
    with pytest.raises(TokenInvalid) as refused:
        await checker.verify(sign(header(kid="second"), claims()))
    assert refused.value.reason == "unknown_key"


def test_repr_shows_no_payload() -> None:
    verified: VerifiedToken = verifier().verify_now(token())

    assert "jti" not in repr(verified)
    assert len(KeySet()) == 0
