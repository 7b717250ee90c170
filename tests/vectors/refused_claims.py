"""Tokens that are signed rightly and must be refused for what they say, or for when they say it."""

from collections.abc import Iterator, Mapping, Sequence

from tests.client.minting import ABSENT, AUDIENCE, ISSUER, NOW, b64, claims, compact, header
from tests.vectors.case import FIRST, Case, claiming, refused, shown, sign

_TEXT = ("A text of at most 255 letters, without NUL, if it is there.", ("x" * 256, "a\0b", None, 1, ["x"]))
_TIME = ("A number of seconds if it is there.", ("1800000000", None, True, [NOW], -1, 1e30))
_WRONG: Mapping[str, tuple[str, Sequence[object]]] = {
    "exp": (
        "A number of seconds from 1970 to the year 9998.",
        ("1800000600", "", None, True, False, [NOW], {}, -1, -0.5, 253_402_300_800, 1e30, 10**400),
    ),
    "iat": _TIME,
    "nbf": _TIME,
    "sub": (
        "A text of 1 to 255 letters without NUL.",
        ("", "x" * 256, "😀" * 256, "a\0b", "\0", None, 1, True, ["x"], {}),
    ),
    "sid": _TEXT,
    "jti": _TEXT,
    "client_id": _TEXT,
    "username": _TEXT,
    "role": ("A text of at most 255 letters.", ("x" * 256, None, 1, ["user"])),
    "roles": (
        "A list of texts.",
        ("staff", None, 1, {"staff": True}, [1], ["user", None], ["a\0b"], [["staff"]]),
    ),
    "scope": (
        "A text of at most 1024 letters.",
        (None, 1, ["users:read"], {"users:read": True}, "a\0b", "x" * 1025),
    ),
    "usernumber": (
        "An integer from 1 to 2^63 - 1, spelt as one.",
        (0, -1, 1.0, 1.5, "1", None, True, [1], 2**63, 10**400),
    ),
}


def issuers_and_audiences() -> Iterator[Case]:
    for iss in (
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
    ):
        yield refused(f"iss {shown(iss)}", "The issuer is compared whole.", claiming(iss=iss), "issuer")
    yield refused("no iss", "The issuer must be named.", claiming(iss=ABSENT), "issuer")
    yield refused(
        "another issuer is expected", "The verifier's own setting counts.", claiming(), "issuer", issuer=ISSUER + ":443"
    )
    for aud in ("", "another", AUDIENCE + "x", AUDIENCE[:-1], AUDIENCE.upper(), f"another {AUDIENCE}", [], ["another"]):
        yield refused(f"aud {shown(aud)}", "Meant for somebody else.", claiming(aud=aud), "audience")
    yield refused("no aud", "Meant for nobody.", claiming(aud=ABSENT), "audience")
    for value in (None, 1, True, {AUDIENCE: 1}, [AUDIENCE, 1], [AUDIENCE, None], [[AUDIENCE]]):
        yield refused(f"aud {shown(value)}", "Texts only, wherever ours stands.", claiming(aud=value), "claim")
    yield refused("aud 1, unasked", "Its shape counts even if nobody asks.", claiming(aud=1), "claim", audience=None)


def types_of_claims() -> Iterator[Case]:
    for name, (about, values) in _WRONG.items():
        for value in values:
            yield refused(f"{name} {shown(value)}", about, claiming(**{name: value}), "claim")
    yield refused("no exp", "Every token ends.", claiming(exp=ABSENT), "claim")
    yield refused("no sub", "Every token is about somebody.", claiming(sub=ABSENT), "claim")
    exponent = compact(claims(usernumber="N")).replace(b'"N"', b"1e3")
    yield refused("usernumber 1e3", "An integer is spelt as one.", sign(header(), exponent), "claim")
    prototype = claims(sub=ABSENT, __proto__={"sub": "admin"})
    yield refused(
        "sub by way of __proto__", "A member of that name is only a member.", sign(header(), prototype), "claim"
    )


def times() -> Iterator[Case]:
    yield refused("exp, and the leeway is over", "From this second on.", claiming(), "expired", now=NOW + 660)
    yield refused("exp a fraction past the leeway", "Fractions count.", claiming(exp=NOW - 60.5), "expired")
    yield refused(
        "exp now, no leeway", "A token ends at exp, not after it.", claiming(exp=NOW), "expired", leeway_seconds=0
    )
    yield refused(
        "past the widest leeway", "Five minutes are the most.", claiming(exp=NOW - 300), "expired", leeway_seconds=300
    )
    yield refused("exp in 1970", "Zero is a time.", claiming(exp=0), "expired")
    yield refused("expired long ago", "Years late.", claiming(), "expired", now=NOW + 10**9)
    for name in ("iat", "nbf"):
        yield refused(f"{name} past the leeway", "From the future.", claiming(**{name: NOW + 61}), "not_yet_valid")
        yield refused(f"{name} a fraction past", "Fractions count.", claiming(**{name: NOW + 60.5}), "not_yet_valid")
        yield refused(
            f"{name} ahead, no leeway", "One second.", claiming(**{name: NOW + 1}), "not_yet_valid", leeway_seconds=0
        )


def orders() -> Iterator[Case]:
    """What is told of a token with several faults: nothing of its contents unless the signature holds."""
    expired = claiming(exp=1)
    head, body, _ = expired.split(".")
    forged = f"{head}.{body}.{claiming().rpartition('.')[2]}"
    yield refused("forged and expired", "A forged token is not told to have expired.", forged, "signature")
    yield refused(
        "forged, and no JSON", "Nothing is parsed before the signature holds.", f"{head}.{b64(b'{')}.AAAA", "signature"
    )
    yield refused("another issuer, and expired", "Whose it is comes first.", claiming(iss="another", exp=1), "issuer")
    yield refused(
        "another audience, and expired", "Whom it is for comes second.", claiming(aud="another", exp=1), "audience"
    )
    yield refused(
        "expired, and its session ended", "Time comes before revocation.", expired, "expired", revoked_sessions=_SESSION
    )
    yield refused(
        "a wrong claim and another issuer", "The shape comes before all.", claiming(roles=1, iss="another"), "claim"
    )
    changed = b64(compact(claims(roles=["staff"])))
    signature = b64(FIRST.pkcs1(f"{head}.{body}".encode()))
    yield refused("a changed payload", "Signed as user, shown as staff.", f"{head}.{changed}.{signature}", "signature")


_SESSION = ("7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55",)
