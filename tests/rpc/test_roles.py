"""Roles and their levels: made, changed, granted, asked for; and that nobody rises by them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from auth_api.v1 import roles_pb2
from auth_client import TokenRevoked, TokenVerifier
from auth_client.trust import TrustStream
from google.protobuf.field_mask_pb2 import FieldMask

from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.administering import PASSWORD, Acting, administrator, found, new_name, signed_in
from tests.support.conditions import eventually
from tests.support.service import AUDIENCE, ISSUER, PORTAL_API_KEY, Service, bearer, refusal

INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
NOT_FOUND = ("NOT_FOUND", "NOT_FOUND")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
TAKEN = ("ALREADY_EXISTS", "ALREADY_EXISTS")
STATE = ("FAILED_PRECONDITION", "ROLE_STATE")


@pytest.fixture
async def admin(service: Service) -> Acting:
    return await administrator(service)


async def update(by: Acting, name: str, *paths: str, **fields: Any) -> roles_pb2.Role:
    request = roles_pb2.UpdateRoleRequest(
        role=roles_pb2.Role(name=name, **fields), update_mask=FieldMask(paths=paths or list(fields))
    )
    return (await by.roles.UpdateRole(request, metadata=by.metadata)).role


async def delete(by: Acting, name: str) -> None:
    await by.roles.DeleteRole(roles_pb2.DeleteRoleRequest(name=name), metadata=by.metadata)


async def get(by: Acting, name: str) -> roles_pb2.Role:
    return (await by.roles.GetRole(roles_pb2.GetRoleRequest(name=name), metadata=by.metadata)).role


async def holders(by: Acting, name: str, **which: Any) -> roles_pb2.ListRoleUsersResponse:
    request = roles_pb2.ListRoleUsersRequest(name=name, **which)
    return await by.roles.ListRoleUsers(request, metadata=by.metadata)


async def check(service: Service, token: str, level: int) -> tuple[bool, int]:
    stub = Acting(service, token, "").roles
    verdict = await stub.CheckLevel(roles_pb2.CheckLevelRequest(token=token, level=level))
    return verdict.allowed, verdict.bearer_level


async def names(by: Acting) -> Sequence[str]:
    return [role.name for role in await by.all_roles()]


async def test_three_roles_are_built_in_and_the_strongest_comes_first(start: Start) -> None:
    admin = await administrator(await start())

    roles = await admin.all_roles()

    assert [(role.name, role.level, role.built_in) for role in roles] == [
        ("admin", 0, True),
        ("staff", 500, True),
        ("user", 1000, True),
    ]


@pytest.mark.row("E10")
async def test_a_role_is_shown_as_it_was_made_and_changed_as_the_mask_says(admin: Acting) -> None:
    made = await admin.role()

    described = await update(admin, made.name, "description", description="Runs\nthe beamline", level=1)

    assert described.level == made.level
    assert described.description == "Runs\nthe beamline"
    assert not described.built_in
    assert described == await get(admin, made.name)


@pytest.mark.row("E10")
async def test_a_name_or_level_that_is_taken_is_refused_and_named(admin: Acting) -> None:
    one, other = await admin.role(), await admin.role()
    before = await admin.all_roles()

    by_name = await refusal(admin.role(one.name))
    by_level = await refusal(admin.role(level=one.level))
    built_in = await refusal(admin.role("staff"))
    changed = await refusal(update(admin, other.name, level=one.level, description="x"))

    assert [(each.verdict, each.fields) for each in (by_name, by_level, built_in, changed)] == [
        (TAKEN, {"name"}),
        (TAKEN, {"level"}),
        (TAKEN, {"name"}),
        (TAKEN, {"role.level"}),
    ]
    assert await admin.all_roles() == before


async def test_of_those_who_want_one_level_at_once_one_gets_it(admin: Acting) -> None:
    free = await admin.role()
    await delete(admin, free.name)

    outcomes = await asyncio.gather(*(admin.role(level=free.level) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(each, roles_pb2.Role) for each in outcomes) == 1


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "Beamline"}),
        ("name", {"name": "a,admin"}),
        ("name", {"name": "a" * 65}),
        ("name", {"name": "a\0"}),
        ("level", {"level": -1}),
        ("level", {"level": 1001}),
        ("description", {"description": "x" * 1001}),
        ("description", {"description": "a\0b"}),
    ],
)
async def test_a_role_that_cannot_be_names_its_field_and_is_not_made(
    admin: Acting, field: str, fields: dict[str, Any]
) -> None:
    before = await names(admin)
    values: dict[str, Any] = {"name": new_name(), "level": 997} | fields
    request = roles_pb2.CreateRoleRequest(**values)

    refused = await refusal(admin.roles.CreateRole(request, metadata=admin.metadata))

    assert (refused.verdict, refused.fields) == (INVALID, {field})
    assert await names(admin) == before


@pytest.mark.parametrize(
    ("field", "paths", "fields"),
    [
        ("update_mask", ["name"], {}),
        ("update_mask", ["built_in"], {"built_in": True}),
        ("update_mask", ["level", "nonsense"], {"level": 998}),
        ("role.level", ["level"], {"level": 1001}),
        ("role.description", ["description", "level"], {"description": "x" * 1001, "level": 998}),
    ],
)
async def test_a_change_that_cannot_be_names_its_field_and_changes_nothing(
    admin: Acting, field: str, paths: list[str], fields: dict[str, Any]
) -> None:
    before = await admin.role()

    refused = await refusal(update(admin, before.name, *paths, **fields))

    assert (refused.verdict, refused.fields) == (INVALID, {field})
    assert await get(admin, before.name) == before


@pytest.mark.parametrize("name", ["admin", "staff", "user"])
async def test_what_is_built_in_stays(admin: Acting, name: str) -> None:
    for call in (update(admin, name, description="x"), update(admin, name, level=7), delete(admin, name)):
        assert (await refusal(call)).verdict == STATE

    assert (await get(admin, name)).built_in


async def test_a_role_that_is_not_there_is_not_found(admin: Acting) -> None:
    name = new_name()

    for call in (
        get(admin, name),
        update(admin, name, description="x"),
        delete(admin, name),
        holders(admin, name),
        admin.grant(admin.person_id, name),
        admin.revoke(admin.person_id, name),
    ):
        assert (await refusal(call)).verdict == NOT_FOUND


@pytest.mark.row("E10", "E11")
async def test_a_grant_shows_in_the_next_token_and_twice_is_fine(admin: Acting) -> None:
    role, user = await admin.role(), await admin.create()
    pair = await admin.service.login(user.username, PASSWORD)

    granted = await admin.grant(user.user_id, role.name)
    again = await admin.grant(user.user_id, role.name)

    assert granted == again == ["user", role.name]
    next_token = (await admin.service.refresh(pair.refresh_token)).access_token
    assert list((await admin.service.verify(next_token)).roles) == ["user", role.name]
    assert await admin.revoke(user.user_id, role.name) == ["user"]
    assert await admin.revoke(user.user_id, role.name) == ["user"]
    event = schema.audit_event
    told = await found(admin.service, sa.select(event.c.type).where(event.c.type.like("role.%ed")).order_by(event.c.id))
    assert [row.type for row in told][-2:] == ["role.granted", "role.revoked"]


@pytest.mark.row("E10", "S31")
async def test_nobody_is_given_more_roles_than_a_token_has_room_for(start: Start) -> None:
    admin = await administrator(await start())
    names = [(await admin.role(f"{new_name()}-{'x' * 46}")).name for _ in range(18)]
    user = await admin.create(display_name="🦊" * 255, roles=names[:16])

    one_more = await admin.grant(user.user_id, names[16])
    refused = await refusal(admin.grant(user.user_id, names[17]))
    of_new = await refusal(admin.create(roles=names))

    assert one_more == ["user", *sorted(names[:17])]
    for each in (refused, of_new):
        assert each.verdict == ("FAILED_PRECONDITION", "ACCOUNT_STATE")
    person = await signed_in(admin.service, user.username, PASSWORD)
    assert len(person.token) <= 8192
    assert list((await admin.service.verify(person.token)).roles) == one_more
    assert await admin.grant(user.user_id, names[3]) == one_more


@pytest.mark.parametrize("role", ["staff", "user"])
async def test_what_follows_from_the_facility_is_not_granted(admin: Acting, role: str) -> None:
    for call in (admin.grant(admin.person_id, role), admin.revoke(admin.person_id, role)):
        assert (await refusal(call)).verdict == STATE


@pytest.mark.parametrize("role", ["", "A", "a,b", "a" * 65, "\0"])
async def test_a_grant_of_what_cannot_be_a_role_is_invalid(admin: Acting, role: str) -> None:
    for call in (admin.grant(admin.person_id, role), admin.revoke(admin.person_id, role)):
        refused = await refusal(call)
        assert (refused.verdict, refused.fields) == (INVALID, {"role"})


@pytest.mark.row("E10", "C9")
async def test_nobody_makes_changes_or_grants_at_or_above_their_own_level(admin: Acting) -> None:
    deputy = await admin.deputy()
    own = await get(admin, (await admin.get(deputy.person_id)).roles[1])
    below, user = await deputy.role(), await deputy.create()
    before = await admin.all_roles()

    for call in (
        deputy.role(level=own.level),
        deputy.role(level=own.level - 1),
        update(deputy, own.name, description="x"),
        update(deputy, own.name, level=999),
        update(deputy, below.name, level=own.level - 1),
        update(deputy, below.name, level=own.level),
        delete(deputy, own.name),
        deputy.grant(user.user_id, own.name),
        deputy.grant(user.user_id, "admin"),
        deputy.grant(deputy.person_id, "admin"),
        deputy.revoke(deputy.person_id, own.name),
        admin.grant(user.user_id, "admin"),
        admin.revoke(admin.person_id, "admin"),
    ):
        assert (await refusal(call)).verdict == DENIED

    assert await admin.all_roles() == before
    assert list((await admin.get(user.user_id)).roles) == ["user"]
    assert await deputy.grant(user.user_id, below.name) == ["user", below.name]


@pytest.mark.row("E11")
async def test_a_role_taken_away_counts_at_once_whatever_the_token_says(admin: Acting) -> None:
    deputy = await admin.deputy()
    role = (await admin.get(deputy.person_id)).roles[1]
    assert (await deputy.page()).users

    await admin.revoke(deputy.person_id, role)

    assert role in (await admin.service.verify(deputy.token)).roles
    assert (await refusal(deputy.page())).verdict == DENIED


@pytest.mark.row("E21/local")
async def test_a_role_taken_away_with_the_sessions_is_told_to_every_verifier(admin: Acting) -> None:
    deputy = await admin.deputy()
    role = (await admin.get(deputy.person_id)).roles[1]
    address = str(admin.service.where.grpc)
    async with TrustStream(address, plaintext=True) as trust:
        local = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=trust)
        assert role in local.verify_now(deputy.token).roles

        assert await admin.revoke(deputy.person_id, role, end_sessions=True) == ["user"]

        assert (await refusal(admin.service.verify(deputy.token))).reason == "TOKEN_REVOKED"
        await eventually(lambda: is_revoked(local, deputy.token))
        assert local.verify_now(admin.token)


def is_revoked(verifier: TokenVerifier, token: str) -> bool:
    try:
        verifier.verify_now(token)
    except TokenRevoked:
        return True
    return False


async def test_a_role_is_deleted_once_nobody_has_it(admin: Acting) -> None:
    role, user, other = await admin.role(), await admin.create(password=""), await admin.create(password="")
    for each in (user, other):
        await admin.grant(each.user_id, role.name)

    refused = await refusal(delete(admin, role.name))
    await admin.revoke(user.user_id, role.name)
    await admin.delete(other.user_id)
    await delete(admin, role.name)

    assert refused.verdict == STATE
    assert (await refusal(get(admin, role.name))).verdict == NOT_FOUND
    assert list((await admin.get(other.user_id)).roles) == ["user"]


async def test_a_role_is_not_granted_while_it_is_deleted(admin: Acting) -> None:
    role, users = await admin.role(), [await admin.create(password="") for _ in range(4)]

    outcomes = await asyncio.gather(
        delete(admin, role.name), *(admin.grant(user.user_id, role.name) for user in users), return_exceptions=True
    )

    deleted, granted = outcomes[0] is None, [each for each in outcomes[1:] if isinstance(each, list)]
    assert deleted is not bool(granted)
    refusals = [each for each in outcomes if isinstance(each, Exception)]
    assert all("went wrong" not in str(each) for each in refusals)


async def test_whoever_was_granted_a_role_first_comes_first_page_by_page(admin: Acting) -> None:
    role, users = await admin.role(), [await admin.create(password="") for _ in range(4)]
    for user in reversed(users):
        await admin.grant(user.user_id, role.name)
    await admin.disable(users[1].user_id)
    await admin.delete(users[2].user_id)

    first = await holders(admin, role.name, page_size=2)
    rest = await holders(admin, role.name, page_size=2, page_token=first.next_page_token)
    elsewhere = await refusal(holders(admin, "admin", page_token=first.next_page_token))

    shown = [*first.users, *rest.users]
    assert [each.username for each in shown] == [users[3].username, users[1].username, users[0].username]
    assert all(each.HasField("granted_at") for each in shown)
    assert rest.next_page_token == ""
    assert (elsewhere.verdict, elsewhere.fields) == (INVALID, {"page_token"})


async def test_roles_are_listed_page_by_page(admin: Acting) -> None:
    await admin.role()
    everything = await admin.all_roles()

    pages: list[Sequence[roles_pb2.Role]] = []
    page_token = ""
    while not pages or page_token:
        request = roles_pb2.ListRolesRequest(page_size=2, page_token=page_token)
        page = await admin.roles.ListRoles(request, metadata=admin.metadata)
        pages.append(page.roles)
        page_token = page.next_page_token

    assert [role for page in pages for role in page] == list(everything)
    assert [role.level for role in everything] == sorted({role.level for role in everything})
    for fields in ({"page_size": -1}, {"page_token": "x"}):
        refused = await refusal(admin.roles.ListRoles(roles_pb2.ListRolesRequest(**fields), metadata=admin.metadata))
        assert (refused.verdict, refused.fields) == (INVALID, set(fields))


@pytest.mark.row("E12")
async def test_whether_a_token_may_do_a_level_is_answered_with_the_roles_of_now(admin: Acting) -> None:
    deputy = await admin.deputy()
    level = (await admin.get(deputy.person_id)).level

    assert await check(admin.service, deputy.token, level) == (True, level)
    assert await check(admin.service, deputy.token, 1000) == (True, level)
    assert await check(admin.service, deputy.token, level - 1) == (False, level)
    assert await check(admin.service, admin.token, 0) == (True, 0)
    await admin.revoke(deputy.person_id, (await admin.get(deputy.person_id)).roles[1])
    assert await check(admin.service, deputy.token, level) == (False, 1000)


@pytest.mark.row("E12")
async def test_a_token_that_is_no_good_has_no_level(admin: Acting) -> None:
    user = await admin.create()
    person = await signed_in(admin.service, user.username, PASSWORD)
    await admin.disable(user.user_id)

    revoked = await refusal(check(admin.service, person.token, 1000))
    rubbish = await refusal(check(admin.service, "a.b.c", 1000))
    beyond = await refusal(check(admin.service, admin.token, 1001))

    assert revoked.verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert rubbish.verdict == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert (beyond.verdict, beyond.fields) == (INVALID, {"level"})


@pytest.mark.row("E10")
async def test_a_role_of_the_facility_brings_the_role_that_it_is_mapped_to(start: Start) -> None:
    service = await start(role_map="ISIS Instrument Scientist=beamline,Nobody=unheard-of")
    admin = await administrator(service)
    before = await signed_in(service, "staff1002")
    assert (await check(service, before.token, 500)) == (True, 500)

    await admin.role("beamline", level=40)

    told = await service.verify((await service.login("staff1002")).access_token)
    assert list(told.roles) == ["staff", "beamline"]
    assert await check(service, before.token, 40) == (True, 40)
    assert (await before.page()).users


async def test_a_service_reads_roles_by_its_scope_only(admin: Acting) -> None:
    refused = await refusal(admin.roles.ListRoles(roles_pb2.ListRolesRequest(), metadata=bearer(PORTAL_API_KEY)))

    assert refused.verdict == DENIED
