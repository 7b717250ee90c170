"""Services, their API keys, and the tokens that keys buy."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import audit_pb2, audit_pb2_grpc, auth_pb2, roles_pb2, roles_pb2_grpc, users_pb2, users_pb2_grpc
from auth_api.v1 import service_accounts_pb2 as pb
from auth_api.v1.service_accounts_pb2_grpc import ServiceAccountServiceStub
from auth_client import FixedKeys, KeySet, TokenVerifier
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.api_keys import SCOPES, is_of_our_form, new_secret
from auth_service.rpc.permissions import PERMISSIONS
from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import (
    AUDIENCE,
    ISSUER,
    PORTAL_API_KEY,
    Logs,
    Refusal,
    Service,
    admin_token,
    bearer,
    refusal,
)

INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
STRANGER = ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
MISSING_ID = "00000000-0000-4000-8000-000000000000"


class Administrator:
    """Somebody with the role `admin` at the service's door."""

    def __init__(self, service: Service, token: str) -> None:
        self.service = service
        self.metadata = bearer(token)
        self.accounts = ServiceAccountServiceStub(service.channel)

    async def account(self, name: str = "") -> pb.ServiceAccount:
        request = pb.CreateServiceAccountRequest(name=name or f"svc-{uuid4().hex[:8]}", description="for tests")
        return (await self.accounts.CreateServiceAccount(request, metadata=self.metadata)).service_account

    async def key(
        self, account: pb.ServiceAccount, *scopes: str, expires_at: Timestamp | None = None
    ) -> pb.CreateApiKeyResponse:
        request = pb.CreateApiKeyRequest(
            service_account_id=account.service_account_id,
            scopes=scopes or ["experiments:read"],
            expires_at=expires_at,
        )
        made = await self.accounts.CreateApiKey(request, metadata=self.metadata)
        self.service.secrets.add(made.secret)
        return made

    async def revoke(self, key_id: str) -> pb.ApiKey:
        request = pb.RevokeApiKeyRequest(api_key_id=key_id)
        return (await self.accounts.RevokeApiKey(request, metadata=self.metadata)).api_key

    async def delete(self, account: pb.ServiceAccount) -> None:
        request = pb.DeleteServiceAccountRequest(service_account_id=account.service_account_id)
        await self.accounts.DeleteServiceAccount(request, metadata=self.metadata)

    async def keys(self, account: pb.ServiceAccount) -> list[pb.ApiKey]:
        request = pb.ListApiKeysRequest(service_account_id=account.service_account_id)
        return list((await self.accounts.ListApiKeys(request, metadata=self.metadata)).api_keys)

    async def named(self, name: str) -> pb.ServiceAccount:
        request = pb.ListServiceAccountsRequest(page_size=1000)
        listed = (await self.accounts.ListServiceAccounts(request, metadata=self.metadata)).service_accounts
        (found,) = [each for each in listed if each.name == name]
        return found

    async def told(self, subject_id: str) -> list[audit_pb2.AuditEvent]:
        """What the audit log tells of an account, oldest first."""
        audit = audit_pb2_grpc.AuditServiceStub(self.service.channel)
        request = audit_pb2.ListAuditEventsRequest(subject_id=subject_id)
        return list(reversed((await audit.ListAuditEvents(request, metadata=self.metadata)).events))


async def administrator(service: Service) -> Administrator:
    return Administrator(service, await admin_token(service))


async def token_for(service: Service, secret: str) -> str:
    reply = await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=secret))
    service.secrets.add(reply.access_token)
    return reply.access_token


async def verdict(service: Service, credential: str) -> tuple[str, str]:
    """What the service says to a credential that asks for experiments."""
    try:
        await service.experiments(1001, credential)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error).verdict
    return "OK", ""


@pytest.mark.row("A12", "D6")
async def test_a_new_key_is_shown_once_and_calls_what_its_scope_allows(service: Service, logs: Logs) -> None:
    admin = await administrator(service)
    account = await admin.account()

    made = await admin.key(account)
    listed = await admin.keys(account)

    assert is_of_our_form(made.secret)
    assert "." not in made.secret
    assert made.secret.startswith(made.api_key.prefix)
    assert len(made.api_key.prefix) == len("ak_12345678")
    assert await verdict(service, made.secret) == ("OK", "")
    assert [key.api_key_id for key in listed] == [made.api_key.api_key_id]
    assert list(listed[0].scopes) == ["experiments:read"]
    assert made.secret not in str(listed)
    assert made.secret not in logs.text


async def test_scopes_are_those_that_methods_ask_for() -> None:
    assert {right.scope for right in PERMISSIONS.values()} - {""} == set(SCOPES)


@pytest.mark.row("S63")
async def test_a_key_without_the_scope_is_refused(service: Service) -> None:
    admin = await administrator(service)
    made = await admin.key(await admin.account(), "roles:read", "users:read")

    assert await verdict(service, made.secret) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def test_two_keys_are_good_at_once_and_a_third_is_not_made(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    first, second = await admin.key(account), await admin.key(account)

    third = await refusal(admin.key(account))
    both = [await verdict(service, made.secret) for made in (first, second)]
    await admin.revoke(first.api_key.api_key_id)
    after = await admin.key(account)

    assert third.verdict == ("FAILED_PRECONDITION", "TOO_MANY_KEYS")
    assert both == [("OK", "")] * 2
    assert await verdict(service, first.secret) == STRANGER
    assert await verdict(service, after.secret) == ("OK", "")
    assert [key.api_key_id for key in await admin.keys(account)] == [
        made.api_key.api_key_id for made in (after, second, first)
    ]


async def test_of_rivals_for_the_last_place_one_gets_it(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    await admin.key(account)

    outcomes = await asyncio.gather(*(admin.key(account) for _ in range(8)), return_exceptions=True)

    assert sum(not isinstance(each, BaseException) for each in outcomes) == 1
    assert {Refusal.of(each).reason for each in outcomes if isinstance(each, grpc.aio.AioRpcError)} == {"TOO_MANY_KEYS"}


async def test_a_revoked_key_and_the_tokens_it_bought_are_refused_at_once(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    made = await admin.key(account)
    token = await token_for(service, made.secret)

    revoked = await admin.revoke(made.api_key.api_key_id)
    again = await admin.revoke(made.api_key.api_key_id)

    assert revoked.HasField("revoked_at")
    assert again.revoked_at == revoked.revoked_at
    assert await verdict(service, made.secret) == STRANGER
    assert await verdict(service, token) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert (await refusal(service.verify(token))).reason == "TOKEN_REVOKED"
    assert (await refusal(token_for(service, made.secret))).verdict == STRANGER


async def test_deleting_an_account_takes_its_keys_and_tokens_along(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    made = await admin.key(account)
    token = await token_for(service, made.secret)

    await admin.delete(account)
    again = await refusal(admin.delete(account))

    assert again.verdict == ("NOT_FOUND", "NOT_FOUND")
    assert await verdict(service, made.secret) == STRANGER
    assert await verdict(service, token) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert (await refusal(admin.keys(account))).reason == "NOT_FOUND"
    assert (await admin.account(account.name)).service_account_id != account.service_account_id


async def test_a_key_is_good_until_it_expires_and_its_token_no_longer(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    soon = Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(minutes=5))
    made = await admin.key(account, expires_at=soon)
    reply = await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=made.secret))

    before = await verdict(service, made.secret)
    await service.sql(
        sa.update(schema.api_key)
        .where(schema.api_key.c.id == UUID(made.api_key.api_key_id))
        .values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    )

    async def is_refused() -> bool:
        return await verdict(service, made.secret) == STRANGER

    assert before == ("OK", "")
    assert reply.expires_in.ToTimedelta() <= timedelta(minutes=5)
    assert (await service.verify(reply.access_token)).expires_at.ToDatetime(UTC) <= soon.ToDatetime(UTC)
    await eventually(is_refused)
    # It leaves room for another one.
    await admin.key(account)
    await admin.key(account)


async def test_the_last_use_of_a_key_is_told(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    made = await admin.key(account)
    assert not (await admin.keys(account))[0].HasField("last_used_at")

    await service.experiments(1001, made.secret)

    async def is_told() -> bool:
        return (await admin.keys(account))[0].HasField("last_used_at")

    await eventually(is_told)
    first = (await admin.keys(account))[0].last_used_at
    await service.experiments(1001, made.secret)
    assert (await admin.keys(account))[0].last_used_at == first
    assert abs(first.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.row("E17")
async def test_what_happens_to_services_and_keys_is_in_the_audit_log(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    one, other = await admin.key(account), await admin.key(account)
    await admin.revoke(one.api_key.api_key_id)
    await admin.revoke(one.api_key.api_key_id)
    await admin.delete(account)

    events = await admin.told(account.service_account_id)

    assert [(event.type, event.reason) for event in events] == [
        ("service_account.created", ""),
        ("api_key.created", ""),
        ("api_key.created", ""),
        ("api_key.revoked", "asked"),
        ("api_key.revoked", "deleted"),
        ("service_account.deleted", ""),
    ]
    assert {event.actor_kind for event in events} == {audit_pb2.ACTOR_KIND_PERSON}
    assert events[1].details["prefix"] == one.api_key.prefix
    assert not any(made.secret in str(events) for made in (one, other))


@pytest.mark.row("B5")
async def test_a_services_token_says_what_it_is_to_any_verifier(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()
    made = await admin.key(account, "users:read", "experiments:read")
    token = await token_for(service, made.secret)

    local = TokenVerifier(
        issuer=ISSUER, audience=AUDIENCE, keys=FixedKeys(KeySet.from_jwks({"keys": await service.jwks()}))
    ).verify_now(token)
    asked = await service.verify(token)

    for said in (local, asked):
        assert said.subject == account.service_account_id
        assert said.client_id == account.name
        assert said.session_id == made.api_key.api_key_id
        assert tuple(said.scopes) == ("experiments:read", "users:read")
        assert not said.roles
        assert said.username == ""
    assert local.claims["scope"] == "experiments:read users:read"
    assert "role" not in local.claims
    assert not asked.HasField("user_number")
    assert await verdict(service, token) == ("OK", "")


async def test_a_persons_token_has_no_scope(service: Service) -> None:
    pair = await service.login()

    asked = await service.verify(pair.access_token)

    assert list(asked.scopes) == []
    assert asked.client_id == "auth-service"


@pytest.mark.row("E11", "E13")
async def test_each_scope_opens_what_it_names_to_keys_and_tokens(service: Service) -> None:
    admin = await administrator(service)
    person = await service.verify((await service.login()).access_token)
    users, roles = users_pb2_grpc.UserServiceStub(service.channel), roles_pb2_grpc.RoleServiceStub(service.channel)
    audit = audit_pb2_grpc.AuditServiceStub(service.channel)

    for scope in SCOPES:
        made = await admin.key(await admin.account(), scope)
        for credential in (made.secret, await token_for(service, made.secret)):
            metadata = bearer(credential)
            match scope:
                case "audit:read":
                    assert (await audit.ListAuditEvents(audit_pb2.ListAuditEventsRequest(), metadata=metadata)).events
                case "experiments:read":
                    assert (await service.experiments(1001, credential)).experiments
                case "roles:read":
                    assert (await roles.ListRoles(roles_pb2.ListRolesRequest(), metadata=metadata)).roles
                case "users:read":
                    request = users_pb2.LookUpUserRequest(user_id=person.subject)
                    assert (await users.LookUpUser(request, metadata=metadata)).user_id == person.subject


@pytest.mark.row("S63")
async def test_a_service_is_nobody_where_a_person_is_expected(service: Service) -> None:
    admin = await administrator(service)
    made = await admin.key(await admin.account(), *SCOPES)
    users, roles = users_pb2_grpc.UserServiceStub(service.channel), roles_pb2_grpc.RoleServiceStub(service.channel)

    for credential in (made.secret, await token_for(service, made.secret)):
        metadata = bearer(credential)
        for call in (
            users.GetMe(users_pb2.GetMeRequest(), metadata=metadata),
            users.GetUser(users_pb2.GetUserRequest(user_id=made.api_key.service_account_id), metadata=metadata),
            roles.CreateRole(roles_pb2.CreateRoleRequest(name="x", level=999), metadata=metadata),
            admin.accounts.ListServiceAccounts(pb.ListServiceAccountsRequest(), metadata=metadata),
        ):
            assert (await refusal(call)).reason == "PERMISSION_DENIED"


@pytest.mark.row("E12")
async def test_a_service_is_of_no_level(service: Service) -> None:
    admin = await administrator(service)
    made = await admin.key(await admin.account(), *SCOPES)
    roles = roles_pb2_grpc.RoleServiceStub(service.channel)
    token = await token_for(service, made.secret)

    said = [await roles.CheckLevel(roles_pb2.CheckLevelRequest(token=token, level=level)) for level in (0, 500, 1000)]
    of_a_key = await refusal(roles.CheckLevel(roles_pb2.CheckLevelRequest(token=made.secret, level=1000)))

    assert [(each.allowed, each.bearer_level) for each in said] == [(False, 1000)] * 3
    assert of_a_key.verdict == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize(
    "secret",
    [
        *("", "shh", "a.b.c", "ak_", "x" * 100_000, "é🦊"),
        pytest.param(new_secret(), id="never made"),
        pytest.param(new_secret()[:-1], id="cut"),
    ],
)
async def test_what_is_no_key_of_ours_buys_nothing(service: Service, secret: str) -> None:
    refused = await refusal(service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=secret)))

    assert refused.verdict == STRANGER
    assert not secret or secret not in refused.message


async def test_a_key_with_another_letter_is_another_key(service: Service) -> None:
    admin = await administrator(service)
    secret = (await admin.key(await admin.account())).secret

    for at in (0, 5, 20, len(secret) - 1):
        other = secret[:at] + ("x" if secret[at] != "x" else "y") + secret[at + 1 :]
        assert await verdict(service, other) == STRANGER
    assert await verdict(service, secret.swapcase()) == STRANGER


@pytest.mark.parametrize(
    ("name", "description"),
    [
        *((name, "") for name in ("", "Portal", "1portal", "a b", "a" * 65, "pörtal", "a\n", "a\0", "-a", ".a")),
        ("portal2", "x" * 1001),
        ("portal2", "a\0b"),
    ],
)
async def test_an_account_that_is_not_as_asked_is_not_made(service: Service, name: str, description: str) -> None:
    admin = await administrator(service)
    request = pb.CreateServiceAccountRequest(name=name, description=description)

    refused = await refusal(admin.accounts.CreateServiceAccount(request, metadata=admin.metadata))

    assert refused.verdict == INVALID
    assert refused.fields == {"description" if description else "name"}


async def test_a_name_is_one_accounts(service: Service) -> None:
    admin = await administrator(service)
    account = await admin.account()

    refused = await refusal(admin.account(account.name))
    shown = await admin.accounts.GetServiceAccount(
        pb.GetServiceAccountRequest(service_account_id=account.service_account_id), metadata=admin.metadata
    )

    assert refused.verdict == ("ALREADY_EXISTS", "ALREADY_EXISTS")
    assert shown.service_account == account


@pytest.mark.parametrize(
    ("scopes", "expires", "field"),
    [
        ([], None, "scopes"),
        (["experiments:write"], None, "scopes"),
        (["experiments:read", ""], None, "scopes"),
        (["experiments:read users:read"], None, "scopes"),
        (["experiments:read"], Timestamp(seconds=1), "expires_at"),
        (["experiments:read"], Timestamp(seconds=2**62), "expires_at"),
        (["experiments:read"], Timestamp(seconds=-(2**62)), "expires_at"),
        (["experiments:read"], Timestamp(seconds=1, nanos=-1), "expires_at"),
    ],
)
async def test_a_key_that_is_not_as_asked_is_not_made(
    service: Service, scopes: list[str], expires: Timestamp | None, field: str
) -> None:
    admin = await administrator(service)
    account = await admin.account()
    request = pb.CreateApiKeyRequest(service_account_id=account.service_account_id, scopes=scopes, expires_at=expires)

    refused = await refusal(admin.accounts.CreateApiKey(request, metadata=admin.metadata))

    assert refused.verdict == INVALID
    assert refused.fields == {field}
    assert field != "scopes" or all(scope in refused.message for scope in SCOPES)
    assert await admin.keys(account) == []


@pytest.mark.parametrize(("given", "said"), [("", INVALID), ("x", INVALID), (MISSING_ID, ("NOT_FOUND", "NOT_FOUND"))])
async def test_what_is_not_there_is_not_found(service: Service, given: str, said: tuple[str, str]) -> None:
    admin = await administrator(service)
    stub, metadata = admin.accounts, admin.metadata

    for call in (
        stub.GetServiceAccount(pb.GetServiceAccountRequest(service_account_id=given), metadata=metadata),
        stub.DeleteServiceAccount(pb.DeleteServiceAccountRequest(service_account_id=given), metadata=metadata),
        stub.ListApiKeys(pb.ListApiKeysRequest(service_account_id=given), metadata=metadata),
        stub.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=given), metadata=metadata),
        stub.CreateApiKey(pb.CreateApiKeyRequest(service_account_id=given, scopes=["audit:read"]), metadata=metadata),
    ):
        assert (await refusal(call)).verdict == said


@pytest.mark.row("D6")
async def test_accounts_and_keys_come_in_pages_of_their_own(start: Start) -> None:
    service = await start(api_keys="")
    admin = await administrator(service)
    names = sorted([f"paged-{number}" for number in range(5)])
    accounts = [await admin.account(name) for name in reversed(names)]
    made = [await admin.key(accounts[0]) for _ in range(2)]
    await admin.revoke(made[0].api_key.api_key_id)
    made.append(await admin.key(accounts[0]))

    found, token = [], ""
    while True:
        page = await admin.accounts.ListServiceAccounts(
            pb.ListServiceAccountsRequest(page_size=2, page_token=token), metadata=admin.metadata
        )
        found += [each.name for each in page.service_accounts]
        token = page.next_page_token
        if not token:
            break
    first = pb.ListApiKeysRequest(service_account_id=accounts[0].service_account_id, page_size=2)
    keys = await admin.accounts.ListApiKeys(first, metadata=admin.metadata)
    first.page_token = keys.next_page_token
    rest = await admin.accounts.ListApiKeys(first, metadata=admin.metadata)
    elsewhere = pb.ListApiKeysRequest(
        service_account_id=accounts[1].service_account_id, page_token=keys.next_page_token
    )
    foreign = await refusal(admin.accounts.ListApiKeys(elsewhere, metadata=admin.metadata))

    assert found == names
    assert [key.api_key_id for key in (*keys.api_keys, *rest.api_keys)] == [
        each.api_key.api_key_id for each in reversed(made)
    ]
    assert rest.next_page_token == ""
    assert foreign.fields == {"page_token"}


@pytest.mark.row("D6")
async def test_accounts_are_found_by_how_their_name_begins(service: Service) -> None:
    admin = await administrator(service)
    beginning = f"found-{uuid4().hex[:8]}"
    names = [f"{beginning}{end}" for end in ("", "-a", ".b", "_c")]
    for name in (*names, f"{beginning[:-1]}"):
        await admin.account(name)

    async def listed(**which: Any) -> pb.ListServiceAccountsResponse:
        return await admin.accounts.ListServiceAccounts(pb.ListServiceAccountsRequest(**which), metadata=admin.metadata)

    found, token = [], ""
    while True:
        page = await listed(name_prefix=beginning.upper(), page_size=2, page_token=token)
        found += [each.name for each in page.service_accounts]
        token = page.next_page_token
        if not token:
            break
    token = (await listed(name_prefix=beginning, page_size=1)).next_page_token

    assert found == names
    assert not (await listed(name_prefix=f"{beginning}-z")).service_accounts
    for wrong, field in (
        ({"name_prefix": "a b"}, "name_prefix"),
        ({"name_prefix": "a\0"}, "name_prefix"),
        ({"name_prefix": "a" * 65}, "name_prefix"),
        ({"name_prefix": beginning[:-1], "page_token": token}, "page_token"),
        ({"page_token": token}, "page_token"),
    ):
        refused = await refusal(listed(**wrong))
        assert (refused.verdict, refused.fields) == (INVALID, {field})


@pytest.mark.row("A19")
async def test_keys_in_the_settings_become_keys_of_accounts(start: Start) -> None:
    service = await start()
    other = await start()
    admin = await administrator(service)
    account = await admin.named("portal")

    (key,) = await admin.keys(account)
    token = await token_for(service, PORTAL_API_KEY)

    assert key.from_settings
    assert list(key.scopes) == ["experiments:read"]
    assert key.prefix == ""
    assert (await other.verify(token)).client_id == "portal"
    assert [await verdict(each, PORTAL_API_KEY) for each in (service, other)] == [("OK", "")] * 2
    # Once, however many replicas start.
    assert [(event.type, event.reason) for event in await admin.told(account.service_account_id)] == [
        ("service_account.created", "settings"),
        ("api_key.created", "settings"),
    ]
    assert {event.actor_kind for event in await admin.told(account.service_account_id)} == {audit_pb2.ACTOR_KIND_SYSTEM}


@pytest.mark.row("A19")
async def test_a_key_that_leaves_the_settings_is_revoked_and_comes_back_with_them(start: Start) -> None:
    before = await start()
    admin = await administrator(before)
    account = await admin.named("portal")
    token = await token_for(before, PORTAL_API_KEY)

    without = await start(api_keys="fia=another-key-of-the-tests")

    async def is_refused() -> bool:
        return await verdict(before, PORTAL_API_KEY) == STRANGER

    await eventually(is_refused)
    assert await verdict(without, PORTAL_API_KEY) == STRANGER
    assert await verdict(without, token) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert [key.HasField("revoked_at") for key in await admin.keys(account)] == [True]

    back = await start()

    assert await verdict(back, PORTAL_API_KEY) == ("OK", "")
    assert [key.HasField("revoked_at") for key in await admin.keys(account)] == [False]
    assert await verdict(back, token) == ("UNAUTHENTICATED", "TOKEN_REVOKED")


async def test_a_key_of_the_settings_that_was_revoked_by_hand_stays_so(start: Start, logs: Logs) -> None:
    service = await start()
    admin = await administrator(service)
    account = await admin.named("portal")
    (key,) = await admin.keys(account)

    refused = await refusal(admin.delete(account))
    await admin.revoke(key.api_key_id)
    again = await start()

    assert refused.verdict == ("FAILED_PRECONDITION", "ACCOUNT_STATE")
    assert await verdict(again, PORTAL_API_KEY) == STRANGER
    assert logs.named("api_keys.in_settings_but_revoked", service="portal")


async def test_keys_of_the_settings_work_before_the_database_is_there(start: Start) -> None:
    made = new_secret()
    service = await start(
        waits=False,
        api_keys=f"portal={PORTAL_API_KEY},gateway={made}",
        database_url="postgresql://nobody@127.0.0.1:9/none",
        database_timeout="200ms",
        profile="production",
        allow_plaintext="true",
        providers="local",
        uows_url="",
        allocations_url="",
    )

    known = [await verdict(service, key) for key in (PORTAL_API_KEY, made)]
    unknown = await verdict(service, new_secret())
    garbage = await verdict(service, "garbage")

    assert known == [("OK", "")] * 2
    assert unknown == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    assert garbage == STRANGER


async def test_a_token_bought_by_a_key_ends_with_it_on_every_replica(start: Start) -> None:
    one, other = await start(), await start()
    admin = await administrator(one)
    made = await admin.key(await admin.account())
    token = await token_for(other, made.secret)
    assert await verdict(other, made.secret) == await verdict(other, token) == ("OK", "")

    await admin.revoke(made.api_key.api_key_id)

    async def both_refused() -> bool:
        said = await verdict(other, made.secret), await verdict(other, token)
        return said == (STRANGER, ("UNAUTHENTICATED", "TOKEN_REVOKED"))

    await eventually(both_refused)
