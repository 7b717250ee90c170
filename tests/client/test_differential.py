"""Thousands of mutated tokens against PyJWT and joserfc: nothing may be accepted that either of them refuses.

The other way round is fine and expected: both are laxer (duplicate members, other typs, odd numbers). The count comes
from DIFFERENTIAL_TOKENS, the seed from DIFFERENTIAL_SEED; run this file as a program to see how the verdicts fall.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle

import jwt
from auth_client import TokenRefused
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import GuestProtocol, RSAKey
from joserfc.jws import JWSRegistry

from tests.client.minting import AUDIENCE, ISSUER, b64, claims, compact, header, key_set, private_key, sign, verifier

COUNT = int(os.environ.get("DIFFERENTIAL_TOKENS", "5000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

ODD: list[object] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    1e30,
    -0.0,
    2**31,
    2**63,
    2**64,
    10**30,
    "",
    " ",
    "0",
    "a",
    "é",
    "\0",
    "\ud800",
    "x" * 300,
    [],
    [None],
    [1],
    [""],
    {},
    {"a": 1},
    [[]],
    ISSUER,
    [ISSUER],
    AUDIENCE,
    [AUDIENCE],
    [AUDIENCE, 1],
    "RS256",
    "none",
    "HS256",
    "at+jwt",
    "JWT",
    "application/at+jwt",
    "AT+JWT",
    "first",
    "second",
    ["b64"],
    "1800000000",
    float("nan"),
    float("inf"),
]
HEADERS = ("alg", "typ", "kid", "crit", "b64", "zip", "enc", "jku", "jwk", "x5c", "cty", "other")
CLAIMS = (
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "sid",
    "client_id",
    "roles",
    "usernumber",
    "username",
    "other",
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STRANGERS = ["=", "==", "+", "/", ".", " ", "\n", "\0", "é", "~", "%3D", "A", "\t", "\ud800"]
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7", "cp037"]


class Mutants:
    """Tokens by kind of mutation; the same seed makes the same mutations."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        now = int(time.time())
        self._head = header()
        self._claims = claims(iat=now, exp=now + 86_400)
        self._others = [
            sign(header(), self._claims | {"sub": str(number), "jti": "x" * number}) for number in range(1, 9)
        ] + [sign(header(kid="second"), self._claims, key="second"), sign(header(), self._claims, key="second")]
        self._token = sign(self._head, self._claims)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        kinds: list[Callable[[], str]] = [
            self.genuine,
            self.flipped_bit,
            self.altered_tail,
            self.strange_character,
            self.replaced_character,
            self.cut,
            self.spliced,
            self.unsigned_header,
            self.unsigned_payload,
            self.wrong_bytes_of_signature,
            self.signed_header,
            self.signed_claims,
            self.signed_bytes,
            self.signed_duplicate,
            self.signed_encoding,
            self.signed_spelling,
        ]
        for kind in cycle(kinds):
            yield kind.__name__, kind()

    def genuine(self) -> str:
        return self._dice.choice([self._token, *self._others[:-1]])

    def flipped_bit(self) -> str:
        raw = bytearray(self._token.encode())
        for _ in range(self._dice.choice([1, 1, 1, 2, 8])):
            raw[self._dice.randrange(len(raw))] ^= 1 << self._dice.randrange(8)
        return raw.decode("latin-1")

    def altered_tail(self) -> str:
        parts = self.genuine().split(".")
        place = self._dice.randrange(3)
        parts[place] = parts[place][:-1] + self._dice.choice(ALPHABET)
        return ".".join(parts)

    def strange_character(self) -> str:
        text = self.genuine()
        dots = [place for place, letter in enumerate(text) if letter == "."]
        place = self._dice.choice([0, len(text), *dots, *(dot + 1 for dot in dots), self._dice.randrange(len(text))])
        return text[:place] + self._dice.choice(STRANGERS) + text[place:]

    def replaced_character(self) -> str:
        text = self.genuine()
        place = self._dice.randrange(len(text))
        return text[:place] + self._dice.choice(STRANGERS + list(ALPHABET)) + text[place + 1 :]

    def cut(self) -> str:
        text = self.genuine()
        start, end = sorted((self._dice.randrange(len(text)), self._dice.randrange(len(text))))
        return self._dice.choice([text[:end], text[start:], text[:start] + text[end:], text + text[start:end]])

    def spliced(self) -> str:
        parts: list[str] = [self._dice.choice([self._token, *self._others]).split(".")[place] for place in range(3)]
        orders: list[list[str]] = [parts, parts, parts, parts[:2], [*parts, parts[2]], parts[::-1]]
        return ".".join(self._dice.choice(orders))

    def unsigned_header(self) -> str:
        _, body, tail = self._token.split(".")
        return f"{b64(compact(self._odd(self._head, HEADERS)))}.{body}.{tail}"

    def unsigned_payload(self) -> str:
        head, _, tail = self._token.split(".")
        return f"{head}.{b64(compact(self._odd(self._claims, CLAIMS)))}.{tail}"

    def wrong_bytes_of_signature(self) -> str:
        signed, _, _ = self._token.rpartition(".")
        size = self._dice.choice([0, 1, 255, 256, 256, 257, 512])
        return f"{signed}.{b64(self._dice.randbytes(size))}"

    def signed_header(self) -> str:
        return sign(self._odd(self._head, HEADERS), self._claims)

    def signed_claims(self) -> str:
        return sign(self._head, self._odd(self._claims, CLAIMS))

    def signed_bytes(self) -> str:
        """A right signature over JSON with some bytes changed."""
        parts = [bytearray(compact(self._head)), bytearray(compact(self._claims))]
        raw = parts[self._dice.random() < 0.7]
        for _ in range(self._dice.choice([1, 1, 2, 4])):
            place = self._dice.randrange(len(raw))
            new = self._dice.choice([b"", b'"', b",", b":", b"{", b"}", b"0", b" ", b"\\", self._dice.randbytes(1)])
            raw[place : place + self._dice.randrange(2)] = new
        return sign(bytes(parts[0]), bytes(parts[1]))

    def signed_duplicate(self) -> str:
        places = [(self._head, HEADERS), (self._claims, CLAIMS)]
        raw = [compact(members) for members, _ in places]
        which = self._dice.randrange(2)
        member = compact({self._dice.choice(places[which][1]): self._dice.choice(ODD)})[1:-1]
        raw[which] = self._dice.choice([b"{" + member + b"," + raw[which][1:], raw[which][:-1] + b"," + member + b"}"])
        return sign(*raw)

    def signed_encoding(self) -> str:
        raw = [json.dumps(members, ensure_ascii=False) for members in (self._head, self._claims | {"username": "Zoë"})]
        which, encoding = self._dice.randrange(2), self._dice.choice(ENCODINGS)
        parts = [text.encode(encoding if place == which else "utf-8") for place, text in enumerate(raw)]
        return sign(*parts)

    def signed_spelling(self) -> str:
        """The same JSON in other words: order, space, escapes, spellings of numbers."""
        names = list(self._claims)
        self._dice.shuffle(names)
        text = json.dumps({name: self._claims[name] for name in names}, indent=self._dice.choice([None, 0, 1]))
        exp = str(self._claims["exp"])
        spelling = self._dice.choice(
            [
                exp,
                exp + ".0",
                exp + ".5",
                exp + "e0",
                exp + "E+0",
                exp + "e1",
                exp + "e400",
                "0" + exp,
                "-" + exp,
                "+" + exp,
                f'"{exp}"',
                exp + ".",
                "0x7fffffff",
                exp + "0" * 40,
            ]
        )
        return sign(
            self._head, text.replace(exp, spelling).replace("s", self._dice.choice(["s", "s", "\\u0073"])).encode()
        )

    def _odd(self, members: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
        changed = dict(members)
        for name in self._dice.sample(names, self._dice.choice([1, 1, 1, 2])):
            if self._dice.random() < 0.1:
                changed.pop(name, None)
            else:
                changed[name] = self._dice.choice(ODD)
        return changed


def pyjwt_accepts(token: str) -> bool:
    keys = {name: private_key(name).public_key() for name in ("first", "second")}
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=60,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except Exception:  # noqa: BLE001 - It raises all sorts of things at odd tokens; each is a refusal.
        return False
    return True


_JOSERFC_KEYS = {name: RSAKey.import_key(private_key(name).public_key()) for name in ("first", "second")}
# Unless told otherwise it refuses members that it does not know, which RFC 7515 section 4 says to ignore.
_JOSERFC_HEADERS = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
_JOSERFC_RULES = joserfc_jwt.JWTClaimsRegistry(
    leeway=60,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    sub={"essential": True},
)


def _joserfc_key(guest: GuestProtocol) -> RSAKey:
    return _JOSERFC_KEYS[guest.headers()["kid"]]


def joserfc_accepts(token: str) -> bool:
    try:
        found = joserfc_jwt.decode(token, _joserfc_key, registry=_JOSERFC_HEADERS)
        _JOSERFC_RULES.validate(found.claims)
    except Exception:  # noqa: BLE001 - As above.
        return False
    return True


def verdicts(count: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """How often each verdict fell, by mutation, and the tokens that we accepted and another library did not."""
    checker = verifier(key_set("first", "second"), clock=time.time)
    seen: Counter[tuple[str, str]] = Counter()
    wrong = []
    for number, (kind, token) in enumerate(Mutants(seed)):
        if number == count:
            break
        try:
            verified = checker.verify_now(token)
        except TokenRefused as refused:
            seen[kind, refused.reason] += 1
            continue
        seen[kind, "accepted"] += 1
        dissent = [name for name, accepts in LIBRARIES.items() if not accepts(token)]
        if dissent:
            wrong.append(f"number {number}, {kind}, refused by {dissent}: {token} {verified.claims}")
    return seen, wrong


LIBRARIES: dict[str, Callable[[str], bool]] = {"PyJWT": pyjwt_accepts, "joserfc": joserfc_accepts}


def test_nothing_is_accepted_that_pyjwt_or_joserfc_refuses() -> None:
    seen, wrong = verdicts(COUNT, SEED)

    assert not wrong, f"seed {SEED}: {len(wrong)} tokens, the first: {wrong[0]}"
    # The mutants must not all die of the same cause, or the test would say little.
    accepted = {kind for kind, verdict in seen if verdict == "accepted"}
    assert accepted >= {"genuine", "signed_header", "signed_claims", "signed_spelling"}, seen
    assert seen["genuine", "accepted"] == sum(number for (kind, _), number in seen.items() if kind == "genuine")
    assert {"malformed", "signature", "algorithm", "typ", "claim"} <= {verdict for _, verdict in seen}


if __name__ == "__main__":
    started = time.monotonic()
    table, dissents = verdicts(COUNT, SEED)
    for (mutation, verdict), times in sorted(table.items()):
        print(f"{mutation:26}{verdict:16}{times:9}")
    accepted_in_all = sum(times for (_, verdict), times in table.items() if verdict == "accepted")
    print(f"seed {SEED}: {COUNT} tokens in {time.monotonic() - started:.0f} s, {accepted_in_all} accepted,", end=" ")
    print(f"{len(dissents)} of them refused by another library", *dissents[:5], sep="\n")
