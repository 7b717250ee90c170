"""Tokens that must be refused for how they are written: JSON, base64url, segments, length."""

import json
from collections.abc import Iterator

from tests.client.minting import claims, compact, header
from tests.vectors.case import Case, claiming, refused, sign

_PAYLOAD, _HEADER = compact(claims()), compact(header())
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def payloads() -> Iterator[Case]:
    end = _PAYLOAD[:-1]
    for name, payload in {
        "sub again at the end": end + b',"sub":"admin"}',
        "sub again at the beginning": b'{"sub":"admin",' + _PAYLOAD[1:],
        "sub again, escaped": end + b',"\\u0073ub":"admin"}',
        "sub again, spaced": end + b', "sub" : "admin"}',
        "sub again, the same": end + b',"sub":"0d7f4c1e-8a51-4c2e-9a37-5d1f0c9b7e42"}',
        "a foreign member twice": end + b',"x":1,"x":1}',
        "twice in an object inside": end + b',"deep":{"a":1,"a":1}}',
        "twice in a list inside": end + b',"deep":[{"a":{"b":1,"b":2}}]}',
        "__proto__ twice": end + b',"__proto__":1,"__proto__":2}',
    }.items():
        yield refused(f"payload: {name}", "No member comes twice.", sign(header(), payload), "malformed")
    for name, payload in {
        "a space": b" ",
        "null": b"null",
        "a list": b"[" + _PAYLOAD + b"]",
        "a text": b'"text"',
        "a number": b"1",
        "an open brace": b"{",
        "two objects": b"{}{}",
        "something after it": _PAYLOAD + b"x",
        "NUL after it": _PAYLOAD + b"\0",
        "no closing brace": end,
        "a comma at the end": end + b",}",
        "single quotes": _PAYLOAD.replace(b'"ada"', b"'ada'"),
        "a comment": b"// c\n" + _PAYLOAD,
        "NaN for a claim": _PAYLOAD.replace(b'"ada"', b"NaN"),
        "NaN": end + b',"x":NaN}',
        "Infinity": end + b',"x":Infinity}',
        "-Infinity": end + b',"x":-Infinity}',
        "a number beyond a double": end + b',"x":1e999}',
        "exp beyond a double": _PAYLOAD.replace(b"1800000600", b"1e999"),
        "an integer of 4301 digits": end + b',"x":' + b"9" * 4301 + b"}",
        "lists 2000 deep": end + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
        "a leading zero": end + b',"x":01}',
        "a leading plus": end + b',"x":+1}',
        "no digit before the point": end + b',"x":.5}',
        "no digit after the point": end + b',"x":1.}',
        "a hexadecimal number": end + b',"x":0x1}',
        "a line break in a text": end + b',"x":"\n"}',
        "a tab in a text": end + b',"x":"\t"}',
        "an unknown escape": end + b',"x":"\\x41"}',
        "half an escape": end + b',"x":"\\u12"}',
        "True": end + b',"x":True}',
        "a form feed between": end + b',\f"x":1}',
        "a no-break space between": end + b',\xc2\xa0"x":1}',
        "a bare name": end + b",x:1}",
    }.items():
        yield refused(f"payload: {name}", "RFC 8259 and no more.", sign(header(), payload), "malformed")
    text = _PAYLOAD.decode()
    for name, payload in {
        "BOM": b"\xef\xbb\xbf" + _PAYLOAD,
        "UTF-16": text.encode("utf-16-le"),
        "UTF-16 with BOM": b"\xff\xfe" + text.encode("utf-16-le"),
        "UTF-16 big-endian": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32-le"),
        "bytes that are no UTF-8": _PAYLOAD.replace(b'"ada"', b'"\xff\xfe"'),
        "an overlong NUL": _PAYLOAD.replace(b'"ada"', b'"\xc0\x80"'),
        "Latin-1": _PAYLOAD.replace(b'"ada"', b'"ad\xe9"'),
        "a surrogate as bytes": _PAYLOAD.replace(b'"ada"', b'"\xed\xa0\x80"'),
        "a high surrogate alone": _PAYLOAD.replace(b'"ada"', b'"\\ud800"'),
        "a low surrogate alone": _PAYLOAD.replace(b'"ada"', b'"\\udc00x"'),
        "surrogates in the wrong order": _PAYLOAD.replace(b'"ada"', b'"\\udc00\\ud800"'),
        "a surrogate in a foreign claim": end + b',"x":["\\ud83d"]}',
        "a surrogate in a name": end + b',"\\ud83d":1}',
        "beyond Unicode": _PAYLOAD.replace(b'"ada"', b'"\xf4\x90\x80\x80"'),
    }.items():
        yield refused(f"payload: {name}", "UTF-8 and nothing else.", sign(header(), payload), "malformed")


def headers() -> Iterator[Case]:
    for name, head in {
        "alg twice, the first none": b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"first"}',
        "alg twice, the last none": b'{"alg":"RS256","typ":"at+jwt","kid":"first","alg":"none"}',
        "alg twice, the same": b'{"alg":"RS256","typ":"at+jwt","kid":"first","alg":"RS256"}',
        "kid twice": b'{"alg":"RS256","typ":"at+jwt","kid":"second","kid":"first"}',
        "kid twice, escaped": b'{"alg":"RS256","typ":"at+jwt","\\u006bid":"second","kid":"first"}',
        "twice inside": b'{"alg":"RS256","typ":"at+jwt","kid":"first","x":{"a":1,"a":2}}',
        "BOM": b"\xef\xbb\xbf" + _HEADER,
        "UTF-16": _HEADER.decode().encode("utf-16-le"),
        "bytes that are no UTF-8": _HEADER[:-1] + b',"x":"\xff"}',
        "a surrogate alone": _HEADER[:-1] + b',"x":"\\ud800"}',
        "a list": b"[" + _HEADER + b"]",
        "null": b"null",
        "an open brace": b"{",
        "no closing brace": _HEADER[:-1],
        "a comma at the end": _HEADER[:-1] + b",}",
        "NaN": _HEADER[:-1] + b',"x":NaN}',
        "something after it": _HEADER + b"{}",
    }.items():
        yield refused(f"header: {name}", "A header is strict JSON too.", sign(head, claims()), "malformed")


def base64url() -> Iterator[Case]:
    good = claiming()
    head, body, tail = good.split(".")
    about = "Unpadded base64url has one spelling."
    for name, token in {
        "padding of the signature": f"{good}==",
        "one padding sign": f"{good}=",
        "padding of the header": f"{head}=.{body}.{tail}",
        "padding of the payload": f"{head}.{body}==.{tail}",
        "spare bits": f"{good[:-1]}{_ALPHABET[_ALPHABET.index(good[-1]) + 1]}",
        "a line break at the end": f"{good}\n",
        "a space at the beginning": f" {good}",
        "a line break inside": f"{head}.{body[:20]}\n{body[20:]}.{tail}",
        "a space after a dot": f"{head}. {body}.{tail}",
        "NUL at the end": f"{good}\0",
        "quotes at the end": f'{head}.{body}.{tail[:-2]}""',
        "a letter beyond ASCII": good.replace("e", "é", 1),
        "a full-width dot": good.replace(".", "．", 1),
        "a scheme": f"Bearer {good}",
        "a comma": f"{good},",
        "a percent escape": good.replace(".", "%2E"),
    }.items():
        yield refused(f"base64url: {name}", about, token, "malformed")
    yield refused("base64url: one letter more", "A byte more.", f"{good}A", "signature")
    noted = next(
        token
        for token in (claiming(note=f"?>?>?>{n}") for n in range(100))
        if "-" in token.rpartition(".")[2] and "_" in token.rpartition(".")[2]
    )
    for letter, other in (("-", "+"), ("_", "/")):
        yield refused(
            f"base64url: {other} for {letter}", "Not the other alphabet.", noted.replace(letter, other), "malformed"
        )
    long = sign(header(), _PAYLOAD + b" " * (-len(_PAYLOAD) % 3 + 1))
    head, body, tail = long.split(".")
    changed = body[:-1] + _ALPHABET[_ALPHABET.index(body[-1]) + 1]
    yield refused("base64url: spare bits of the payload", about, f"{head}.{changed}.{tail}", "malformed")


def segments() -> Iterator[Case]:
    head, body, tail = claiming().split(".")
    for name, token in {
        "nothing": "",
        "a dot": ".",
        "two dots": "..",
        "three dots": "...",
        "the header only": head,
        "no signature": f"{head}.{body}",
        "an empty signature": f"{head}.{body}.",
        "an empty header": f".{body}.{tail}",
        "an empty payload": f"{head}..{tail}",
        "a dot at the end": f"{head}.{body}.{tail}.",
        "a dot at the beginning": f".{head}.{body}.{tail}",
        "two signatures": f"{head}.{body}.{tail}.{tail}",
        "two headers": f"{head}.{head}.{body}.{tail}",
        "five segments": f"{head}.{body}.{tail}.{body}.{tail}",
        "JSON serialization": json.dumps({"payload": body, "protected": head, "signature": tail}),
    }.items():
        yield refused(f"segments: {name}", "Three segments, none of them empty.", token, "malformed")
    about = "Refused for its length, before it is parsed."
    yield refused("8193 letters", about, "a" * 8193, "too_large")
    yield refused("three million dots", about, ".", "too_large", token_repeat=3_000_000)
    yield refused("a good token and 8 KiB more", about, sign(header(), claims(note="x" * 6200)), "too_large")
    yield refused("8192 letters", "Not too long, but no token.", "a" * 8192, "malformed")
