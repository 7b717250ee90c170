"""Bodies that no honest client sends, to every route that takes one."""

import json
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from typing import IO

import pytest

from tests.support.service import Service
from tests.web.test_edge import LEAKS

JSON, FORM, PROTO = "application/json", "application/x-www-form-urlencoded", "application/proto"
TEN_MEGABYTES = 10 << 20

ROUTES: Mapping[str, tuple[str, str]] = {
    "/login": (JSON, '{"username": "user1001", "password": "guess-4711"}'),
    "/verify": (JSON, '{"token": "x.y.z"}'),
    "/refresh": (JSON, '{"token": "x.y.z"}'),
    "/session": (JSON, '{"username": "user1001", "password": "guess-4711"}'),
    "/auth_api.v1.AuthService/Login": (JSON, '{"username": "user1001", "password": "guess-4711"}'),
    "/auth_api.v1.UserService/UpdateMe": (JSON, '{"user": {"displayName": "x"}}'),
    "/oauth/token": (FORM, "grant_type=password&username=user1001&password=guess-4711"),
    "/oauth/introspect": (FORM, "token=x.y.z"),
    "/oauth/revoke": (FORM, "token=rt1.x"),
    "/sign-in": (FORM, "username=user1001&password=guess-4711"),
}
"""Each with its media type, and a body that it can read."""
IN_JSON = [path for path, (kind, _) in ROUTES.items() if kind == JSON]
IN_FORMS = [path for path, (kind, _) in ROUTES.items() if kind == FORM]


async def post(service: Service, path: str, body: bytes | IO[bytes] | AsyncIterator[bytes], kind: str = "") -> int:
    """The status of an answer that tells nothing of the inside."""
    headers = {"Content-Type": kind or ROUTES[path][0]}
    async with service.http.post(path, data=body, headers=headers, allow_redirects=False) as answer:
        text = await answer.text()
        assert not LEAKS.search(f"{dict(answer.headers)} {text}"), text
        assert "guess-4711" not in text
        return answer.status


@pytest.mark.row("S82")
@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_of_another_kind_is_refused(service: Service, path: str) -> None:
    kind, honest = ROUTES[path]

    for other in {JSON, FORM, "text/plain", "multipart/form-data; boundary=x", "application/xml"} - {kind}:
        assert await post(service, path, honest.encode(), other) in (400, 403, 415, 422), other


@pytest.mark.row("S82")
@pytest.mark.parametrize("path", ROUTES)
async def test_ten_megabytes_are_refused_before_they_are_here(service: Service, path: str) -> None:
    async def told_nothing_of_its_length() -> AsyncIterator[bytes]:
        for _ in range(TEN_MEGABYTES >> 16):
            yield b" " * (1 << 16)

    assert await post(service, path, BytesIO(b" " * TEN_MEGABYTES)) == 413
    assert await post(service, path, told_nothing_of_its_length()) == 413


@pytest.mark.row("S82")
@pytest.mark.parametrize("path", IN_JSON)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"token": NaN, "username": NaN}',
        b'{"token": 1e999}',
        b'{"username": Infinity}',
        b'{"token": "x", "token": "y", "username": "a", "username": "b", "password": "x"}',
        b'{"username": "\\ud800", "password": "x", "token": "\\udfff"}',
        b'{"username": "\xff", "password": "x"}',
        b'\xef\xbb\xbf{"token": "x"}',
        '{"token": "x"}'.encode("utf-16"),
        b'{"token": 1}',
        b'{"token": ["x"], "username": {}, "password": null}',
        b"9" * 5_000,
        b'{"username": ' + b"9" * 5_000 + b"}",
        b"null",
        b'"x"',
        b"\0" * 100,
    ],
)  # fmt: skip
async def test_json_that_is_none_or_not_what_was_asked_for_is_refused(service: Service, path: str, body: bytes) -> None:
    assert await post(service, path, body) in (400, 401, 403, 422)


@pytest.mark.row("S82")
@pytest.mark.parametrize("path", IN_FORMS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&" * 1_000,
        b"a=b&" * 10_000,
        b"=",
        b"token=x&token=y&grant_type=password&grant_type=password&username=a&username=b&password=x",
        b"grant_type=%ff&token=%ff&username=%ff&password=%ff",
        b"grant_type=%&token=%&username=%zz&password=%0",
        b"grant_type=\xff&token=\xff",
        b"grant_type=%00&token=%00&username=%00&password=%00",
        b"grant_type=password&username=%ED%A0%80&password=x&token=%ED%A0%80",
        json.dumps({"grant_type": "password", "token": "x"}).encode(),
    ],
)  # fmt: skip
async def test_a_form_that_cannot_be_read_one_way_is_refused(service: Service, path: str, body: bytes) -> None:
    # A token that nobody knows is none any more, which is all that revocation promises (RFC 7009 section 2.2).
    well = (200,) if path == "/oauth/revoke" else ()

    assert await post(service, path, body) in (400, 401, 403, 422, *well)
