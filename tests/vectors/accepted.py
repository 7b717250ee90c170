"""Tokens that must be accepted, in the shapes that they may come in."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.client.minting import ABSENT, AUDIENCE, NOW, claims, compact, header
from tests.vectors.case import Case, accepted, claiming, headed, sign
from tests.vectors.key_sets import HOSTILE_KIDS, LARGE
from tests.vectors.rsa_keys import rsa_key

_OPTIONAL = ("iat", "jti", "sid", "client_id", "roles", "usernumber", "role", "username")


def shapes() -> Iterator[Case]:
    yield accepted("usual", "A token as the service makes them.", claiming())
    yield accepted("another order", "Members come in any order.", sign(header(), claims()))
    yield accepted(
        "least",
        "Nothing but what is required.",
        claiming(**dict.fromkeys(_OPTIONAL, ABSENT)),
        claims(**dict.fromkeys(_OPTIONAL, ABSENT)),
    )
    yield accepted(
        "foreign header members", "Members that mean nothing to us are ignored.", headed(v=7, note=[{}, None])
    )
    yield _saying("foreign claims", "So are claims.", note={"a": [1, None, -0.5, 10**30]}, nonce=None, cnf={}, acr=1)
    yield _saying("claims named like methods", "A name is only a name.", constructor="x", toString=1, hasOwnProperty=[])
    yield accepted("long", "Almost 8 KiB.", claiming(note="x" * 5200))
    for typ in ("AT+JWT", "application/at+jwt", "Application/At+Jwt"):
        yield accepted(f"typ {typ}", "The type counts in any case, with or without `application/`.", headed(typ=typ))


def audiences() -> Iterator[Case]:
    yield _saying("aud is a text", "One audience need not be a list.", aud=AUDIENCE)
    yield _saying("aud is a longer list", "Ours among others.", aud=["another", AUDIENCE, "third"])
    yield _saying(
        "aud of another, unasked", "A verifier of no audience takes any.", aud=["another"], where={"audience": None}
    )
    yield _saying("no aud, unasked", "A verifier of no audience needs none.", aud=ABSENT, where={"audience": None})
    yield _saying("aud is empty, unasked", "An empty list is a list.", aud=[], where={"audience": None})


def contents() -> Iterator[Case]:
    yield _saying("no roles", "An empty list of roles.", roles=[])
    yield _saying("an empty role", "A role may be any text.", roles=["", "ä b"])
    yield _saying("a service", "A service has scopes and no roles.", roles=ABSENT, scope="users:read audit:read")
    yield _saying("an empty scope", "No scopes at all.", scope="")
    yield _saying("spaces in the scope", "Scopes are what lies between spaces.", scope=" users:read  audit:read ")
    yield _saying("user number 1", "The smallest.", usernumber=1)
    yield _saying("user number above 2^53", "It is a 64-bit integer, not a float.", usernumber=2**53 + 1)
    yield _saying("user number 2^63 - 1", "The largest.", usernumber=2**63 - 1)
    yield _saying(
        "empty texts", "All but the subject may be empty.", sid="", jti="", client_id="", username="", role=""
    )
    yield _saying("subject of 255 letters", "Letters are counted, not bytes.", sub="é" * 255)
    yield _saying("subject of 255 emoji", "Nor UTF-16 units.", sub="😀" * 255)
    yield _saying(
        "other white space in the scope", "Only a space parts scopes.", scope="users:read\u00a0all audit\tread"
    )
    yield _saying("scope of 1024 letters", "The longest.", scope="s" * 1024)
    yield _saying("a backslash and u0000", "Six letters that look like an escape are not NUL.", username="a\\u0000b")


def spellings() -> Iterator[Case]:
    says = claims(username="Zoë 🦉 Müller", sub="名前")
    utf8 = json.dumps(says, ensure_ascii=False, separators=(",", ":")).encode()
    indented = json.dumps(says, ensure_ascii=False, indent=2).encode()
    yield accepted("escaped names", "Text beyond ASCII as escapes.", sign(header(), says), says)
    yield accepted("UTF-8 names", "The same text as UTF-8.", sign(header(), utf8), says)
    yield accepted(
        "spaced payload", "White space between JSON's tokens.", sign(header(), b" \t\r\n" + indented + b"\n"), says
    )
    yield accepted("spaced header", "The same in the header.", sign(json.dumps(header(), indent=1).encode(), claims()))
    for name, value in {
        "an integer of 4300 digits": b"9" * 4300,
        "lists 500 deep": b"[" * 500 + b"]" * 500,
    }.items():
        text = compact(claims())[:-1] + b',"x":' + value + b"}"
        yield accepted(name, "In a claim that nobody reads.", sign(header(), text))
    yield accepted(
        "escaped header",
        "The header too may spell a letter as an escape.",
        sign(compact(header()).replace(b"RS256", b"\\u0052S256"), claims()),
    )
    yield accepted(
        "escaped member",
        "And so may the name of a member.",
        sign(header(), compact(claims()).replace(b'"sub"', b'"\\u0073ub"')),
    )
    yield accepted(
        "same name at two depths",
        "A name may come again in another object.",
        sign(header(), compact(claims(note={"note": {"note": 1}, "sub": "x"}))),
        claims(),
    )


def times() -> Iterator[Case]:
    yield _saying("exp with a fraction", "Seconds need not be whole.", exp=NOW + 600.5, iat=NOW - 0.25)
    exponent = compact(claims(exp="EXP")).replace(b'"EXP"', b"1.8000006e9")
    yield accepted("exp with an exponent", "A number, spelt as JSON allows.", sign(header(), exponent), claims())
    yield _saying("last second", "exp is over, but the leeway is not.", where={"now": NOW + 659})
    yield _saying("exp a fraction inside", "Less than a second is left.", exp=NOW - 59.5)
    yield _saying("last second without leeway", "The second before exp.", exp=NOW + 1, where={"leeway_seconds": 0})
    yield _saying("widest leeway", "Five minutes are the most.", exp=NOW - 299, where={"leeway_seconds": 300})
    yield _saying("iat at the edge", "As far ahead as the leeway allows.", iat=NOW + 60)
    yield _saying("nbf at the edge", "The same for nbf.", nbf=NOW + 60)
    yield _saying("nbf now, no leeway", "Valid from this second on.", nbf=NOW, where={"leeway_seconds": 0})
    yield _saying("times from 1970", "Zero is a time.", iat=0, nbf=0)
    yield _saying("exp in the year 9998", "The far future is a time.", exp=253_370_764_799)
    yield _saying("iat after exp", "Nobody promised an order.", iat=NOW + 30, exp=NOW + 10)


def keys() -> Iterator[Case]:
    second = sign(header(kid="second"), claims(), key=rsa_key("second"))
    yield accepted("second key", "The kid picks the key.", second, kid="second", key_set="two")
    yield accepted(
        "3072 bits", "A larger key.", sign(header(kid="large"), claims(), key=LARGE), kid="large", key_set="large"
    )
    for name, about in {
        "without_use_and_alg": "use and alg may be absent from a key.",
        "with_foreign_members": "Members of a key that we do not know are ignored.",
        "broken_neighbours": "A key is none the worse for its neighbours.",
        "twin_for_encryption": "A key for encryption does not take the kid from one that verifies.",
        "elliptic_twin": "Nor does a key of another type.",
        "second_revoked": "A key is none the worse for another that was revoked.",
    }.items():
        yield accepted(f"key set {name}", about, claiming(), key_set=name)
    yield accepted(
        "neighbour of an ambiguous kid",
        "Two keys under one kid harm no third.",
        second,
        kid="second",
        key_set="two_keys_under_one_kid",
    )
    for name, kid in HOSTILE_KIDS.items():
        yield accepted(
            f"kid is a word, {name}",
            "Whatever a kid looks like, it is only looked up.",
            headed(kid=kid),
            kid=kid,
            key_set="hostile_kids",
        )
    kid = "ö" * 128
    yield accepted(
        "kid of 128 letters",
        "The longest.",
        sign(b'{"alg":"RS256","typ":"at+jwt","kid":"' + kid.encode() + b'"}', claims()),
        kid=kid,
        key_set="kid_of_128",
    )
    another = ("7c0a6a1e-2f37-4b0e-8a44-000000000000", "", "7c0a6a1e")
    yield accepted(
        "another session ended", "Sessions are told apart.", claiming(), revoked_sessions=another[:1] + another[2:]
    )
    yield _saying(
        "no session", "What names no session cannot end with one.", sid=ABSENT, where={"revoked_sessions": another[:1]}
    )


def _saying(name: str, about: str, *, where: Mapping[str, Any] | None = None, **changes: object) -> Case:
    return accepted(name, about, claiming(**changes), claims(**changes), **(where or {}))
