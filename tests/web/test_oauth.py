"""OAuth 2.0: the token endpoint, introspection, revocation and userinfo, also through the clients that others wrote."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.support.service import ISSUER, PORTAL_API_KEY, Service

PASSWORD = {"grant_type": "password", "username": "user1001", "password": "user1001-password"}
FORM = "application/x-www-form-urlencoded"


async def post(
    service: Service, path: str, form: Mapping[str, str] | bytes, **headers: str
) -> tuple[int, Mapping[str, str], Any]:
    named = {"Content-Type": FORM} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.http.post(path, data=form, headers=named) as answer:
        body = await answer.read()
        return answer.status, answer.headers, await answer.json() if body else None


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


async def grant(service: Service, **form: str) -> Any:
    status, _, told = await post(service, "/oauth/token", {**PASSWORD, **form})
    assert status == 200, told
    return told


@pytest.mark.row("B3", "C2")
async def test_a_password_buys_a_token_and_a_refresh_token_the_next(service: Service) -> None:
    status, headers, first = await post(service, "/oauth/token", PASSWORD)
    _, _, second = await post(
        service, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    )

    assert status == 200
    assert (headers["Cache-Control"], headers["Pragma"]) == ("no-store", "no-cache")
    assert (first["token_type"], first["expires_in"], first.keys()) == (
        "Bearer",
        600,
        {"access_token", "token_type", "expires_in", "refresh_token"},
    )
    assert (await service.verify(second["access_token"])).user_number == 1001


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({**PASSWORD, "password": "wrong"}, "invalid_grant"),
        ({**PASSWORD, "username": "nobody"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "rt1.x"}, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "password", "username": "x"}, "invalid_request"),
        ({"grant_type": "password", "username": "x", "password": ""}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
        ({**PASSWORD, "scope": "everything"}, "invalid_scope"),
        (b"grant_type=password&username=a&username=b&password=x", "invalid_request"),
        (b"grant_type=%ff", "invalid_request"),
        (b"&".join(b"a%d=1" % number for number in range(100)), "invalid_request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_mistake_has_its_error(service: Service, form: Mapping[str, str] | bytes, error: str) -> None:
    status, headers, told = await post(service, "/oauth/token", form)

    assert (status, told["error"], headers["Cache-Control"]) == (400, error, "no-store")
    assert told["error_description"]


async def test_a_secret_in_the_address_is_refused_though_it_is_right(service: Service) -> None:
    for query in (f"client_secret={PORTAL_API_KEY}", "password=user1001-password"):
        status, _, told = await post(service, f"/oauth/token?{query}", PASSWORD)
        assert (status, told["error"]) == (400, "invalid_request")


async def test_a_body_of_another_kind_is_refused(service: Service) -> None:
    status, _, told = await post(
        service, "/oauth/token", b'{"grant_type": "password"}', Content_Type="application/json"
    )

    assert (status, told["error"]) == (400, "invalid_request")


async def test_a_service_signs_in_by_its_name_and_key_either_way(service: Service) -> None:
    form = {"grant_type": "client_credentials", "scope": "experiments:read"}

    _, _, by_header = await post(service, "/oauth/token", form, Authorization=basic("portal", PORTAL_API_KEY))
    _, _, by_form = await post(
        service, "/oauth/token", {**form, "client_id": "portal", "client_secret": PORTAL_API_KEY}
    )

    for told in (by_header, by_form):
        assert (told["scope"], "refresh_token" in told) == ("experiments:read", False)
        assert (await service.verify(told["access_token"])).client_id == "portal"


@pytest.mark.parametrize(
    ("name", "secret"), [("portal", "wrong"), ("fia", PORTAL_API_KEY), ("portal", ""), ("", ""), ("a:b", "c")]
)
async def test_a_client_that_is_none_of_ours_is_refused(service: Service, name: str, secret: str) -> None:
    status, headers, told = await post(
        service, "/oauth/token", {"grant_type": "client_credentials"}, Authorization=basic(name, secret)
    )

    assert (status, told["error"]) == (401, "invalid_client")
    assert headers["WWW-Authenticate"].startswith("Basic ")


async def test_a_service_gets_no_scope_that_its_key_has_not(service: Service) -> None:
    form = {"grant_type": "client_credentials", "scope": "experiments:read keys:rotate"}

    status, _, told = await post(service, "/oauth/token", form, Authorization=basic("portal", PORTAL_API_KEY))

    assert (status, told["error"]) == (400, "invalid_scope")


async def test_an_access_token_is_no_clients_secret(service: Service) -> None:
    token = (await grant(service))["access_token"]

    status, _, told = await post(
        service, "/oauth/token", {"grant_type": "client_credentials"}, Authorization=basic("", token)
    )

    assert (status, told["error"]) == (401, "invalid_client")


async def test_introspection_tells_services_what_a_token_says_and_of_a_bad_one_nothing(service: Service) -> None:
    token = (await grant(service))["access_token"]
    portal = basic("portal", PORTAL_API_KEY)

    _, _, told = await post(service, "/oauth/introspect", {"token": token}, Authorization=portal)
    _, _, by_bearer = await post(
        service, "/oauth/introspect", {"token": token}, Authorization=f"Bearer {PORTAL_API_KEY}"
    )
    _, _, bad = await post(service, "/oauth/introspect", {"token": "x.y.z"}, Authorization=portal)
    public, _, _ = await post(service, "/oauth/introspect", {"token": token})
    person, _, _ = await post(service, "/oauth/introspect", {"token": token}, Authorization=f"Bearer {token}")

    assert (told["active"], told["username"], told["usernumber"], told["iss"]) == (True, told["username"], 1001, ISSUER)
    assert told["exp"] - told["iat"] == 600
    assert by_bearer == told
    assert bad == {"active": False}
    assert (public, person) == (401, 401)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_revoked_token_has_ended_its_session(service: Service, which: str) -> None:
    pair = await grant(service)

    first, _, _ = await post(service, "/oauth/revoke", {"token": pair[which], "token_type_hint": which})
    again, _, _ = await post(service, "/oauth/revoke", {"token": pair[which]})
    unknown, _, _ = await post(service, "/oauth/revoke", {"token": "whatever"})

    assert (first, again, unknown) == (200, 200, 200)
    status, _, told = await post(
        service, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    )
    assert (status, told["error"]) == (400, "invalid_grant")
    _, _, seen = await post(
        service, "/oauth/introspect", {"token": pair["access_token"]}, Authorization=basic("portal", PORTAL_API_KEY)
    )
    assert seen == {"active": False}


@pytest.mark.row("B10")
async def test_userinfo_is_for_the_bearer_alone(service: Service) -> None:
    token = (await grant(service))["access_token"]

    async def ask(**headers: str) -> tuple[int, str, Any]:
        async with service.http.get("/oauth/userinfo", headers=headers) as answer:
            return answer.status, answer.headers.get("WWW-Authenticate", ""), await answer.json()

    status, _, told = await ask(Authorization=f"Bearer {token}")
    without = await ask()
    wrong = await ask(Authorization="Bearer x.y.z")
    by_service = await ask(Authorization=f"Bearer {PORTAL_API_KEY}")

    assert (status, told["preferred_username"], told["usernumber"]) == (200, "user1001", 1001)
    assert told["sub"] == (await service.verify(token)).subject
    assert without[:2] == (401, "Bearer")
    assert (wrong[0], wrong[1].split(",")[0]) == (401, 'Bearer error="invalid_token"')
    assert (by_service[0], by_service[1]) == (403, 'Bearer error="insufficient_scope"')


async def test_metadata_name_the_endpoints_that_answer(service: Service) -> None:
    for document in ("openid-configuration", "oauth-authorization-server"):
        async with service.http.get(f"/.well-known/{document}") as answer:
            told = await answer.json()
        named = {name: address for name, address in told.items() if name.endswith("_endpoint")}
        assert len(named) == 4
        for address in named.values():
            async with service.http.post(address.removeprefix(ISSUER), data=b"") as answer:
                assert answer.status in (400, 401)


@pytest.mark.row("S28")
async def test_every_grant_and_every_way_of_authentication_that_metadata_name_is_taken(service: Service) -> None:
    async with service.http.get("/.well-known/oauth-authorization-server") as answer:
        told = await answer.json()
    first = await grant(service)
    ways: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "none": ({}, {}),
        "client_secret_basic": ({}, {"Authorization": basic("portal", PORTAL_API_KEY)}),
        "client_secret_post": ({"client_id": "portal", "client_secret": PORTAL_API_KEY}, {}),
    }
    grants: dict[str, dict[str, str]] = {
        "password": PASSWORD,
        "refresh_token": {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]},
        "client_credentials": {"grant_type": "client_credentials"},
    }

    for way in told["token_endpoint_auth_methods_supported"]:
        form, headers = ways[way]
        for name in told["grant_types_supported"]:
            status, _, _ = await post(service, "/oauth/token", {**grants[name], **form}, **headers)
            # Nobody in particular has no scopes, and no credentials to show.
            assert status == (401 if (way, name) == ("none", "client_credentials") else 200), (way, name)
    for endpoint in ("introspection", "revocation"):
        for way in told[f"{endpoint}_endpoint_auth_methods_supported"]:
            form, headers = ways[way]
            path = told[f"{endpoint}_endpoint"].removeprefix(ISSUER)
            status, _, _ = await post(service, path, {"token": first["access_token"], **form}, **headers)
            assert status == 200, (endpoint, way)


@pytest.mark.parametrize("what", ["authorization", "registration", "device_authorization"])
async def test_what_there_is_not_is_not_named(service: Service, what: str) -> None:
    for document in ("openid-configuration", "oauth-authorization-server"):
        async with service.http.get(f"/.well-known/{document}") as answer:
            assert f"{what}_endpoint" not in await answer.json()


@pytest.mark.row("B3")
async def test_authlibs_client_signs_in_refreshes_introspects_and_revokes(service: Service) -> None:
    base = f"http://{service.where.http}"

    def person() -> tuple[str, int]:
        with AuthlibSession(token_endpoint=f"{base}/oauth/token", token_endpoint_auth_method="none") as client:
            client.fetch_token(username="user1001", password="user1001-password")
            client.refresh_token(f"{base}/oauth/token", refresh_token=client.token["refresh_token"])
            told: dict[str, str] = client.get(f"{base}/oauth/userinfo").json()
            revoked: int = client.revoke_token(f"{base}/oauth/revoke", token=client.token["refresh_token"]).status_code
            return told["preferred_username"], revoked

    def portal() -> str:
        with AuthlibSession("portal", PORTAL_API_KEY) as client:
            token = client.fetch_token(f"{base}/oauth/token", grant_type="client_credentials")
            told: dict[str, str] = client.introspect_token(
                f"{base}/oauth/introspect", token=token["access_token"]
            ).json()
            return told["client_id"]

    assert await asyncio.to_thread(person) == ("user1001", 200)
    assert await asyncio.to_thread(portal) == "portal"


@pytest.mark.row("B3")
async def test_oauthlibs_client_signs_in_and_refreshes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    base = f"http://{service.where.http}"

    def person() -> str:
        with OAuth2Session(client=LegacyApplicationClient("auth-service")) as client:
            token = client.fetch_token(
                f"{base}/oauth/token", username="user1001", password="user1001-password", include_client_id=True
            )
            token = client.refresh_token(f"{base}/oauth/token", refresh_token=token["refresh_token"])
            told: dict[str, str] = client.get(f"{base}/oauth/userinfo").json()
            url, headers, body = client._client.prepare_token_revocation_request(
                f"{base}/oauth/revoke", token["access_token"], token_type_hint="access_token"
            )
            assert client.post(url, headers=headers, data=body).status_code == 200
            assert client.get(f"{base}/oauth/userinfo").status_code == 401
            return told["preferred_username"]

    def portal() -> list[str]:
        with OAuth2Session(client=BackendApplicationClient("portal")) as client:
            scopes: list[str] = client.fetch_token(f"{base}/oauth/token", client_secret=PORTAL_API_KEY)["scope"]
            return scopes

    assert await asyncio.to_thread(person) == "user1001"
    assert await asyncio.to_thread(portal) == ["experiments:read"]
