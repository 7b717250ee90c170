"""The stand-in facility, as UOWS and Proposal Allocations are described."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from auth_service.demo import Facility, running_facility

QUESTION = """
query experiments($un: String!, $facilities: [String!]!) {
  proposals(filter: {un: $un, facilities: $facilities, includeWithdrawn: false}) { referenceNumber }
}
"""


@pytest.fixture
async def facility() -> AsyncIterator[Facility]:
    async with running_facility(uows_api_key="K", allocations_token="K") as facility:
        yield facility


@pytest.fixture
async def http(facility: Facility) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Api-key K", "Authorisation": "token K"}
    async with aiohttp.ClientSession(facility.url, headers=headers) as http:
        yield http


async def ask(http: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
    async with http.request(method, path, allow_redirects=False, **arguments) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()


@pytest.mark.parametrize(("name", "user_id"), [("user1001", 1001), ("staff1002", "1002"), ("user1003", 1003)])
async def test_newcomers_can_sign_in(http: aiohttp.ClientSession, name: str, user_id: int | str) -> None:
    credentials = {"username": name, "password": f"{name}-password"}

    assert await ask(http, "POST", "/v1/sessions", json=credentials) == (201, {"userId": user_id})


@pytest.mark.parametrize(("name", "password"), [("user1001", "wrong"), ("nobody", "wrong"), ("", "")])
async def test_a_wrong_password_is_401(http: aiohttp.ClientSession, name: str, password: str) -> None:
    status, _ = await ask(http, "POST", "/v1/sessions", json={"username": name, "password": password})

    assert status == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_what_is_no_request_is_400(http: aiohttp.ClientSession, body: bytes) -> None:
    for path in ("/v1/sessions", "/graphql"):
        status, _ = await ask(http, "POST", path, data=body)
        assert status == 400


async def test_details_and_roles(http: aiohttp.ClientSession) -> None:
    details = "/v1/basic-person-details?userNumbers="

    assert await ask(http, "GET", details + "1001") == (200, [{"displayName": "user1001"}])
    assert await ask(http, "GET", details + "4") == (200, [])
    assert await ask(http, "GET", "/v1/role/1002") == (200, [{"name": "ISIS Instrument Scientist"}])
    assert await ask(http, "GET", "/v1/role/1003") == (200, [])


async def test_experiments_by_graphql(http: aiohttp.ClientSession) -> None:
    async def experiments(user_number: str, *facilities: str) -> object:
        variables = {"un": user_number, "facilities": facilities}
        return await ask(http, "POST", "/graphql", json={"query": QUESTION, "variables": variables})

    assert await experiments("1002", "ISIS") == (
        200,
        {"data": {"proposals": [{"referenceNumber": "9723"}, {"referenceNumber": "1620354"}]}},
    )
    assert await experiments("1003", "ISIS") == (200, {"data": {"proposals": []}})
    assert await experiments("1002", "Diamond") == (200, {"data": {"proposals": []}})


async def test_a_query_that_does_not_fit_the_schema_is_refused(http: aiohttp.ClientSession) -> None:
    status, answer = await ask(http, "POST", "/graphql", json={"query": "{ proposals { referenceNumber } }"})

    assert status == 200
    assert answer["errors"]


async def test_keys_are_checked(facility: Facility) -> None:
    async with aiohttp.ClientSession(facility.url) as stranger:
        assert (await ask(stranger, "GET", "/v1/basic-person-details?userNumbers=1001"))[0] == 401
        assert (await ask(stranger, "GET", "/v1/role/1001"))[0] == 401
        assert (await ask(stranger, "POST", "/graphql", json={"query": QUESTION}))[0] == 403


async def test_faults_are_switched_over_http_and_taken_back(http: aiohttp.ClientSession, facility: Facility) -> None:
    assert (await ask(http, "PUT", "/_faults", json={"/v1/role": "status 503"}))[0] == 200

    assert await ask(http, "GET", "/v1/role/1001") == (503, "Service Unavailable")
    assert (await ask(http, "GET", "/v1/basic-person-details?userNumbers=1001"))[0] == 200
    assert facility.fault == {"/v1/role": "status 503"}

    await ask(http, "PUT", "/_faults", json={})

    assert (await ask(http, "GET", "/v1/role/1001"))[0] == 200


@pytest.mark.parametrize("faults", [{"/": "no such thing"}, {"/": 5}, [], "hang", {"/": "status 9"}, {"/": "slow:x"}])
async def test_an_unknown_fault_is_refused(http: aiohttp.ClientSession, facility: Facility, faults: object) -> None:
    assert (await ask(http, "PUT", "/_faults", json=faults))[0] == 400
    assert facility.fault == {}


async def test_requests_are_counted(http: aiohttp.ClientSession, facility: Facility) -> None:
    await ask(http, "GET", "/v1/role/1001")
    await ask(http, "GET", "/v1/role/1002")
    await ask(http, "GET", "/favicon.ico")

    assert facility.hits == {"/v1/role": 2, "/favicon.ico": 1}


async def test_people_can_be_added(http: aiohttp.ClientSession, facility: Facility) -> None:
    facility.knows("ada", "right", number=7, roles=["R"], experiments=[12], display_name="Ada L.")

    assert (await ask(http, "POST", "/v1/sessions", json={"username": "ada", "password": "right"}))[1] == {"userId": 7}
    assert (await ask(http, "GET", "/v1/basic-person-details?userNumbers=7"))[1] == [{"displayName": "Ada L."}]


async def test_it_says_nothing(http: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]) -> None:
    await ask(http, "GET", "/v1/role/1001")

    assert capfd.readouterr() == ("", "")
