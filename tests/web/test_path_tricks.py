"""However a path is spelt: every gateway's route, Envoy's Check and the client library say the same of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from auth_client.policy import Holder, Verdict
from auth_client.policy_json import policy_of

from auth_service.demo import Facility
from auth_service.rpc.ext_authz import CHECK
from auth_service.rpc.ext_authz import check_pb2 as pb
from tests.support.service import Databases, Logs, Service, admin_token, running_service
from tests.web.path_tricks import ADMINISTRATOR, ASKING, NO_ONE, PERSON, POLICY, TRICKS, Trick, table
from tests.web.test_authz import ROUTES, ask

DOCS = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
HOLDERS = {
    NO_ONE: None,
    PERSON: Holder(is_person=True, roles=frozenset({"user"})),
    ADMINISTRATOR: Holder(is_person=True, roles=frozenset({"admin"}), level=0),
}
STATUS = {Verdict.ADMITTED: 200, Verdict.NOT_SIGNED_IN: 401, Verdict.REFUSED: 403}
TRICK = pytest.mark.parametrize("trick", TRICKS, ids=[f"{each.method} {each.target}" for each in TRICKS])


@pytest.fixture(scope="module", name="service")
async def with_that_policy(
    databases: Databases, facility: Facility, logs: Logs, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    home = tmp_path_factory.mktemp("tricks")
    (home / "policy.json").write_text(json.dumps(POLICY))
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=home, policy_file=str(home / "policy.json")) as service:
        yield service


@pytest.fixture(scope="module")
async def tokens(service: Service) -> dict[str, str]:
    return {NO_ONE: "", PERSON: (await service.login()).access_token, ADMINISTRATOR: await admin_token(service)}


@TRICK
@pytest.mark.row("D3", "S67")
@pytest.mark.parametrize("route", ROUTES)
async def test_a_gateway_is_told(service: Service, tokens: dict[str, str], route: str, trick: Trick) -> None:
    told = [
        (await ask(service, trick.target, method=trick.method, token=tokens[who], route=route)).status for who in ASKING
    ]

    assert tuple(told) == trick.statuses


@TRICK
@pytest.mark.row("D3", "S68")
async def test_envoy_is_told(service: Service, tokens: dict[str, str], trick: Trick) -> None:
    told = []
    for who in ASKING:
        headers = {"authorization": f"Bearer {tokens[who]}"} if tokens[who] else {}
        http = pb.AttributeContext.HttpRequest(method=trick.method, path=trick.target, headers=headers)
        request = pb.CheckRequest(attributes=pb.AttributeContext(request=pb.AttributeContext.Request(http=http)))
        response = pb.CheckResponse.FromString(await service.raw(CHECK)(request.SerializeToString()))
        told.append(response.denied_response.status.code or 200)

    assert tuple(told) == trick.statuses


@TRICK
@pytest.mark.row("D3", "S65")
def test_an_application_is_told(trick: Trick) -> None:
    policy = policy_of(json.dumps(POLICY).encode())

    told = [STATUS[policy.verdict(trick.method, trick.target, HOLDERS[who])] for who in ASKING]

    assert tuple(told) == trick.statuses


def test_the_table_in_the_docs_is_this_one() -> None:
    assert table() in DOCS.read_text(), "run `python -m tests.web.path_tricks`, and put its table into docs/policy.md"
