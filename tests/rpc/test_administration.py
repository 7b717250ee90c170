"""What administrators do about people: made, found, changed, disabled, deleted, erased; and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import bcrypt
import pytest
import sqlalchemy as sa
from auth_api.v1 import users_pb2

from auth_service.storage import schema
from auth_service.storage.local_accounts import add
from auth_service.storage.opening import open_database
from auth_service.storage.people import grant
from tests.rpc.conftest import Start
from tests.support.administering import PASSWORD, Acting, administrator, found, new_name, signed_in
from tests.support.service import PORTAL_API_KEY, Service, bearer, refusal

INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
NOT_FOUND = ("NOT_FOUND", "NOT_FOUND")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
TAKEN = ("ALREADY_EXISTS", "ALREADY_EXISTS")
STATE = ("FAILED_PRECONDITION", "ACCOUNT_STATE")
LAST = ("FAILED_PRECONDITION", "LAST_ADMINISTRATOR")
REVOKED = ("UNAUTHENTICATED", "TOKEN_REVOKED")
WRONG = ("UNAUTHENTICATED", "BAD_CREDENTIALS")
ANOTHER_PASSWORD = "nine walnuts under a wicker chair"


@pytest.fixture
async def admin(service: Service) -> Acting:
    return await administrator(service)


@pytest.mark.row("B6", "B7")
async def test_an_account_is_shown_as_it_was_made_and_signs_in(admin: Acting) -> None:
    role, name = await admin.role(), new_name()

    made = await admin.create(
        name,
        display_name="Ada Lovelace",
        email=f"{name}@Example.ORG",
        email_verified=True,
        user_number=4711,
        roles=[role.name],
    )

    assert made == await admin.get(made.user_id)
    assert str(UUID(made.user_id)) == made.user_id
    assert (made.provider, made.username, made.display_name) == ("local", name, "Ada Lovelace")
    assert (made.email, made.email_verified, made.user_number) == (f"{name}@example.org", True, 4711)
    assert (list(made.roles), made.level, made.state) == (
        ["user", role.name],
        role.level,
        users_pb2.USER_STATE_ACTIVE,
    )
    assert not made.HasField("last_login_at")
    assert "argon2" not in str(made)
    told = await admin.service.verify((await admin.service.login(name, PASSWORD)).access_token)
    assert (told.subject, list(told.roles), told.user_number) == (made.user_id, ["user", role.name], 4711)
    assert (await admin.get(made.user_id)).HasField("last_login_at")


async def test_an_account_without_a_password_waits_for_one(admin: Acting) -> None:
    made = await admin.create(password="")

    assert (await refusal(admin.service.login(made.username, PASSWORD))).verdict == WRONG
    assert await admin.set_password(made.user_id, PASSWORD) == 0
    assert (await admin.service.login(made.username, PASSWORD)).session_id


@pytest.mark.row("B11")
async def test_a_hash_from_elsewhere_lets_its_person_in(admin: Acting) -> None:
    imported = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()

    made = await admin.create(password="", password_hash=imported)

    assert (await refusal(admin.service.login(made.username, ANOTHER_PASSWORD))).verdict == WRONG
    assert (await admin.service.login(made.username, PASSWORD)).session_id


@pytest.mark.row("B7")
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("username", {"username": " "}),
        ("username", {"username": "a" * 256}),
        ("username", {"username": "a\0b"}),
        ("username", {"username": "ad\u200bmin-to-be"}),
        ("username", {"username": "\u202enimda"}),
        ("username", {"username": "Root"}),
        ("password", {"password": "too short"}),
        ("password", {"password": "passwordpassword"}),
        ("password", {"password": "x" * 1025}),
        ("password_hash", {"password": "", "password_hash": "$2b$nonsense"}),
        ("password_hash", {"password": "", "password_hash": "plain text"}),
        ("password_hash", {"password_hash": "$2b$04$" + "a" * 53}),
        ("display_name", {"display_name": "a\nb"}),
        ("email", {"email": "nobody"}),
        ("email", {"email": "a" * 388 + "@example.org"}),
        ("email", {"email": "a@b@example.org"}),
        ("email_verified", {"email_verified": True}),
        ("user_number", {"user_number": 0}),
        ("user_number", {"user_number": 2**53}),
        ("roles", {"roles": ["staff"]}),
        ("roles", {"roles": ["a,b"]}),
        ("must_change_password", {"password": "", "must_change_password": True}),
    ],
)
async def test_an_account_that_cannot_be_names_its_field_and_is_not_made(
    admin: Acting, field: str, fields: dict[str, Any]
) -> None:
    before = await found(admin.service, sa.select(sa.func.count()).select_from(schema.person))

    refused = await refusal(admin.create(**fields))

    assert (refused.verdict, refused.fields) == (INVALID, {field})
    assert await found(admin.service, sa.select(sa.func.count()).select_from(schema.person)) == before


@pytest.mark.row("B7")
async def test_a_name_or_address_that_is_taken_is_refused_however_it_is_spelt(admin: Acting) -> None:
    name = new_name()
    await admin.create(name, email=f"{name}@example.org")

    for taken in (name, name.upper(), f"\uff4e{name[1:]}"):
        refused = await refusal(admin.create(taken))
        assert (refused.verdict, refused.fields) == (TAKEN, {"username"})
    refused = await refusal(admin.create(email=f"{name.upper()}@EXAMPLE.org"))
    assert (refused.verdict, refused.fields) == (TAKEN, {"email"})
    assert name not in refused.message.lower()


async def test_of_those_who_are_given_one_name_at_once_one_gets_it(admin: Acting) -> None:
    name = new_name()

    outcomes = await asyncio.gather(*(admin.create(name, password="") for _ in range(8)), return_exceptions=True)

    made = [each for each in outcomes if isinstance(each, users_pb2.User)]
    assert len(made) == 1
    assert (await admin.look_up(username=name)).user_id == made[0].user_id


@pytest.mark.row("B8")
async def test_an_update_changes_what_the_mask_names_and_nothing_else(admin: Acting) -> None:
    before = await admin.create(display_name="Before", email=f"{new_name()}@example.org", email_verified=True)
    name = new_name()

    after = await admin.update(
        before.user_id, "username", "display_name", username=name, display_name="After", email=""
    )

    expected = users_pb2.User()
    expected.CopyFrom(before)
    expected.username, expected.display_name = name, "After"
    assert after == expected == await admin.get(before.user_id)
    assert (await admin.service.login(name, PASSWORD)).session_id
    assert (await refusal(admin.service.login(before.username, PASSWORD))).verdict == WRONG


async def test_another_address_is_not_verified_until_somebody_says_so(admin: Acting) -> None:
    user = await admin.create(email=f"{new_name()}@example.org", email_verified=True)
    other = f"{new_name()}@example.org"

    changed = await admin.update(user.user_id, email=other)
    verified = await admin.update(user.user_id, email_verified=True)
    gone = await admin.update(user.user_id, "email", email="")

    assert (changed.email, changed.email_verified) == (other, False)
    assert (verified.email, verified.email_verified) == (other, True)
    assert (gone.email, gone.email_verified) == ("", False)


async def test_a_number_and_a_password_to_be_changed_are_set_and_taken_back(admin: Acting) -> None:
    user = await admin.create()

    changed = await admin.update(user.user_id, user_number=17, must_change_password=True)
    back = await admin.update(user.user_id, "user_number", "must_change_password")

    assert (changed.user_number, changed.must_change_password) == (17, True)
    assert (back.HasField("user_number"), back.must_change_password) == (False, False)


async def test_a_password_that_has_to_be_changed_ends_the_sessions_that_it_began(admin: Acting) -> None:
    user = await admin.create()
    person = await signed_in(admin.service, user.username, PASSWORD)

    await admin.update(user.user_id, must_change_password=True)

    assert (await refusal(admin.service.verify(person.token))).verdict == REVOKED
    assert not (await admin.sessions(user.user_id)).sessions


@pytest.mark.row("B8")
@pytest.mark.parametrize(
    ("field", "paths", "fields"),
    [
        ("update_mask", ["nonsense"], {}),
        ("update_mask", ["roles"], {}),
        ("update_mask", ["state"], {"state": users_pb2.USER_STATE_DELETED}),
        ("update_mask", ["display_name", "user_id"], {"display_name": "X"}),
        ("update_mask", ["*"], {"display_name": "X"}),
        ("user.username", ["username"], {}),
        ("user.display_name", ["display_name"], {}),
        ("user.email", ["email"], {"email": "nobody"}),
        ("user.email", ["email", "display_name"], {"email": "a" * 388 + "@example.org", "display_name": "X"}),
        ("user.email_verified", ["email_verified", "display_name"], {"email_verified": True, "display_name": "X"}),
        ("user.user_number", ["user_number"], {"user_number": -1}),
        ("user.username", ["username"], {"username": "admin"}),
    ],
)
async def test_an_update_that_cannot_be_names_its_field_and_changes_nothing(
    admin: Acting, field: str, paths: list[str], fields: dict[str, Any]
) -> None:
    before = await admin.create(password="")

    refused = await refusal(admin.update(before.user_id, *paths, **fields))

    assert (refused.verdict, refused.fields) == (INVALID, {field})
    assert await admin.get(before.user_id) == before


async def test_an_update_without_a_mask_is_refused(admin: Acting) -> None:
    user = users_pb2.User(user_id=admin.person_id, display_name="X")

    refused = await refusal(admin.users.UpdateUser(users_pb2.UpdateUserRequest(user=user), metadata=admin.metadata))

    assert (refused.verdict, refused.fields) == (INVALID, {"update_mask"})


async def test_an_update_to_a_taken_name_or_address_changes_nothing(admin: Acting) -> None:
    name = new_name()
    await admin.create(name, password="", email=f"{name}@example.org")
    before = await admin.create(password="")

    by_name = await refusal(admin.update(before.user_id, username=name.upper(), display_name="X"))
    by_address = await refusal(admin.update(before.user_id, email=f"{name}@example.org", display_name="X"))

    assert (by_name.verdict, by_name.fields) == (TAKEN, {"user.username"})
    assert (by_address.verdict, by_address.fields) == (TAKEN, {"user.email"})
    assert await admin.get(before.user_id) == before


async def test_what_the_facility_says_of_its_people_stays(admin: Acting) -> None:
    person = await signed_in(admin.service, "user1001")
    address = f"{new_name()}@example.org"

    for fields in ({"username": "x"}, {"display_name": "x"}, {"user_number": 5}, {"must_change_password": True}):
        assert (await refusal(admin.update(person.person_id, **fields))).verdict == STATE
    assert (await refusal(admin.set_password(person.person_id, PASSWORD))).verdict == STATE
    changed = await admin.update(person.person_id, email=address)

    assert (changed.username, changed.provider, changed.email) == ("user1001", "uows", address)


async def test_another_password_ends_the_sessions_and_the_old_one_is_over(admin: Acting) -> None:
    user = await admin.create()
    person = await signed_in(admin.service, user.username, PASSWORD)
    await admin.service.login(user.username, PASSWORD)

    ended = await admin.set_password(user.user_id, ANOTHER_PASSWORD)

    assert ended == 2
    assert (await refusal(admin.service.verify(person.token))).verdict == REVOKED
    assert (await refusal(admin.service.login(user.username, PASSWORD))).verdict == WRONG
    assert (await admin.service.login(user.username, ANOTHER_PASSWORD)).session_id


@pytest.mark.parametrize("password", ["too short", "passwordpassword", "x" * 1025, "", "a\0" * 20])
async def test_a_weak_password_is_not_set(admin: Acting, password: str) -> None:
    user = await admin.create()
    person = await signed_in(admin.service, user.username, PASSWORD)

    refused = await refusal(admin.set_password(user.user_id, password))

    assert (refused.verdict, refused.fields) == (INVALID, {"new_password"})
    assert (await admin.service.verify(person.token)).subject == user.user_id


@pytest.mark.row("E21")
async def test_a_disabled_persons_token_is_refused_at_once_until_somebody_enables_them(admin: Acting) -> None:
    user = await admin.create()
    pair = await admin.service.login(user.username, PASSWORD)

    disabled = await admin.disable(user.user_id, "left the facility")

    assert (await refusal(admin.service.verify(pair.access_token))).verdict == REVOKED
    assert (await refusal(admin.service.refresh(pair.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
    assert (await refusal(admin.service.login(user.username, PASSWORD))).verdict == WRONG
    assert disabled.state == users_pb2.USER_STATE_DISABLED
    assert disabled.HasField("disabled_at")
    assert await admin.disable(user.user_id) == disabled
    enabled = await admin.enable(user.user_id)
    assert enabled == await admin.enable(user.user_id)
    assert enabled.state == users_pb2.USER_STATE_ACTIVE
    assert (await admin.service.login(user.username, PASSWORD)).session_id


@pytest.mark.row("B9", "E7", "E21")
async def test_a_deleted_person_is_gone_and_their_name_and_address_stay_reserved(admin: Acting) -> None:
    name = new_name()
    user = await admin.create(name, email=f"{name}@example.org", email_verified=True)
    person = await signed_in(admin.service, name, PASSWORD)

    deleted = await admin.delete(user.user_id)

    assert deleted.state == users_pb2.USER_STATE_DELETED
    assert (await refusal(admin.service.verify(person.token))).verdict == REVOKED
    assert (await refusal(admin.service.login(name, PASSWORD))).verdict == WRONG
    assert (await refusal(admin.create(name))).verdict == TAKEN
    assert (await refusal(admin.create(email=f"{name}@example.org"))).verdict == TAKEN
    assert (await refusal(admin.look_up(username=name))).verdict == NOT_FOUND
    assert (await refusal(admin.look_up(user_id=user.user_id))).verdict == NOT_FOUND
    assert await admin.get(user.user_id) == deleted


@pytest.mark.row("E7")
async def test_of_a_deleted_account_nothing_but_erasing_is_left_to_do(admin: Acting) -> None:
    user = await admin.create(password="")
    await admin.delete(user.user_id)
    role = await admin.role()
    before = await admin.get(user.user_id)

    for call in (
        admin.delete(user.user_id),
        admin.enable(user.user_id),
        admin.disable(user.user_id),
        admin.update(user.user_id, display_name="x"),
        admin.set_password(user.user_id, PASSWORD),
        admin.grant(user.user_id, role.name),
    ):
        assert (await refusal(call)).verdict == STATE

    assert await admin.get(user.user_id) == before


@pytest.mark.row("E7")
async def test_a_purge_leaves_nothing_of_a_deleted_person_but_the_id_in_the_audit_log(admin: Acting) -> None:
    name, role = new_name(), await admin.role()
    number = int(uuid4()) % 10**9 + 10**6
    user = await admin.create(name, email=f"{name}@example.org", roles=[role.name], user_number=number)
    await admin.service.login(name, PASSWORD)
    await admin.service.sql(sa.insert(schema.staff).values(user_number=number))
    person_id = UUID(user.user_id)

    assert (await refusal(admin.purge(user.user_id))).verdict == STATE
    await admin.delete(user.user_id)
    await admin.purge(user.user_id)

    assert (await refusal(admin.get(user.user_id))).verdict == NOT_FOUND
    assert (await refusal(admin.purge(user.user_id))).verdict == NOT_FOUND
    for table in (schema.local_account, schema.person_role, schema.session, schema.action_token, schema.mail):
        assert not await found(admin.service, sa.select(table).where(table.c.person_id == person_id))
    assert not await found(admin.service, sa.select(schema.staff).where(schema.staff.c.user_number == number))
    told = await found(admin.service, sa.select(schema.audit_event).where(schema.audit_event.c.subject_id == person_id))
    assert [row.type for row in told if row.type.startswith("person.")] == [
        "person.created",
        "person.deleted",
        "person.purged",
    ]
    assert not any(name in str(row) or PASSWORD in str(row) or str(number) in str(row) for row in told)
    again = await admin.create(name, email=f"{name}@example.org")
    assert again.user_id != user.user_id


@pytest.mark.row("B9")
async def test_somebody_who_is_not_there_is_not_found(admin: Acting) -> None:
    missing, role = str(uuid4()), await admin.role()

    for call in _every_deed(admin, missing, role.name):
        assert (await refusal(call)).verdict == NOT_FOUND
    assert (await refusal(admin.get(missing))).verdict == NOT_FOUND
    assert (await refusal(admin.sessions(missing))).verdict == NOT_FOUND
    assert (await refusal(admin.look_up(user_id=missing))).verdict == NOT_FOUND
    assert (await refusal(admin.look_up(username=new_name()))).verdict == NOT_FOUND


@pytest.mark.parametrize("user_id", ["", "1", "not-a-uuid", "\0", "{00000000-0000-4000-8000-000000000000}"])
async def test_an_id_that_is_none_is_invalid(admin: Acting, user_id: str) -> None:
    role = await admin.role()

    for call in (*_every_deed(admin, user_id, role.name), admin.get(user_id), admin.look_up(user_id=user_id)):
        refused = await refusal(call)
        assert refused.verdict == INVALID
        assert refused.fields <= {"user_id", "user.user_id"}


@pytest.mark.row("E10")
async def test_nobody_acts_on_a_person_above_them(admin: Acting) -> None:
    deputy, role = await admin.deputy(), await admin.role()
    above = await admin.deputy(at_least=1)
    before = await admin.get(above.person_id)

    for call in _every_deed(deputy, above.person_id, role.name):
        assert (await refusal(call)).verdict == DENIED

    assert await admin.get(above.person_id) == before
    assert (await admin.service.verify(above.token)).subject == above.person_id


def _every_deed(by: Acting, user_id: str, role: str) -> list[Awaitable[object]]:
    """Everything that is done to somebody; purging asks for the level 0 and comes by itself."""
    return [
        by.update(user_id, display_name="x"),
        by.set_password(user_id, PASSWORD),
        by.disable(user_id),
        by.enable(user_id),
        by.delete(user_id),
        by.end_sessions(user_id),
        by.grant(user_id, role),
        by.revoke(user_id, role),
    ]


@pytest.mark.row("E10")
async def test_administrators_act_on_their_own_level_and_below(admin: Acting) -> None:
    deputy = await admin.deputy()
    below = await deputy.create()

    assert (await deputy.update(below.user_id, display_name="x")).display_name == "x"
    assert (await deputy.update(deputy.person_id, display_name="y")).display_name == "y"
    assert (await deputy.disable(below.user_id)).state == users_pb2.USER_STATE_DISABLED
    assert (await refusal(deputy.purge(below.user_id))).verdict == DENIED


@pytest.mark.row("E10")
async def test_nobody_takes_the_account_of_somebody_as_strong_or_their_own_with_a_token_alone(admin: Acting) -> None:
    deputy = await admin.deputy()
    own = (await admin.get(deputy.person_id)).roles[1]
    peer, below = await admin.create(roles=[own]), await deputy.create()
    address = f"{new_name()}@example.org"

    for whom in (peer.user_id, deputy.person_id):
        for call in (
            deputy.set_password(whom, ANOTHER_PASSWORD),
            deputy.update(whom, email=address),
            deputy.update(whom, email_verified=True),
        ):
            refused = await refusal(call)
            assert refused.verdict == DENIED
            assert refused.message.startswith("user_id: ")
    for fields in ({"user_number": 4712}, {"must_change_password": True}):
        for caller in (deputy, admin):
            assert (await refusal(caller.update(caller.person_id, **fields))).verdict == DENIED

    assert (await deputy.update(peer.user_id, display_name="Peer")).display_name == "Peer"
    assert (await deputy.update(below.user_id, email=address)).email == address
    assert await deputy.set_password(below.user_id, ANOTHER_PASSWORD) == 0


@pytest.mark.row("E10")
async def test_a_number_is_given_by_the_strongest_and_borne_by_one(admin: Acting) -> None:
    deputy, other = await admin.deputy(), await admin.create()
    number = 40_000 + int(other.user_id[:4], 16)
    bearer = await admin.create(user_number=number)

    for call in (
        deputy.create(user_number=number + 1),
        deputy.update(other.user_id, user_number=number + 1),
        deputy.update(bearer.user_id, "user_number"),
    ):
        assert (await refusal(call)).verdict == DENIED
    made, changed = [
        await refusal(call)
        for call in (admin.create(user_number=number), admin.update(other.user_id, user_number=number))
    ]
    assert (made.verdict, made.fields) == (TAKEN, {"user_number"})
    assert (changed.verdict, changed.fields) == (TAKEN, {"user.user_number"})
    assert (await admin.update(bearer.user_id, user_number=number)).user_number == number

    await admin.delete(bearer.user_id)
    assert (await admin.update(other.user_id, user_number=number)).user_number == number


@pytest.mark.row("E10")
async def test_of_those_who_are_given_one_number_at_once_one_bears_it(admin: Acting) -> None:
    users = [await admin.create(password="") for _ in range(6)]
    number = 50_000 + int(users[0].user_id[:4], 16)

    outcomes = await asyncio.gather(
        *(admin.update(user.user_id, user_number=number) for user in users), return_exceptions=True
    )

    assert sum(isinstance(each, users_pb2.User) for each in outcomes) == 1
    assert [(await admin.get(user.user_id)).user_number for user in users].count(number) == 1


@pytest.mark.row("E10", "C9")
async def test_a_new_account_has_no_role_at_or_above_its_makers_level(admin: Acting) -> None:
    deputy, name = await admin.deputy(), new_name()
    own = (await admin.get(deputy.person_id)).roles[1]

    for role in ("admin", own):
        assert (await refusal(deputy.create(name, roles=[role]))).verdict == DENIED
    assert (await refusal(deputy.create(name, roles=["unheard-of"]))).verdict == NOT_FOUND

    assert (await refusal(admin.look_up(username=name))).verdict == NOT_FOUND


async def test_the_last_administrator_stays(start: Start) -> None:
    service = await start()
    admin = await administrator(service)
    await admin.create(password="", roles=[(await admin.role(at_least=1)).name])
    await _another_administrator(service, password_hash=None)

    for call in (admin.disable(admin.person_id), admin.delete(admin.person_id)):
        assert (await refusal(call)).verdict == LAST

    assert (await service.verify(admin.token)).subject == admin.person_id
    other = await _another_administrator(service, password_hash="$argon2id$somebody's")
    assert (await admin.disable(admin.person_id)).state == users_pb2.USER_STATE_DISABLED
    assert other


@pytest.mark.row("E10")
@pytest.mark.parametrize("round_", range(3))
async def test_two_administrators_who_leave_at_once_do_not_both(start: Start, round_: int) -> None:
    service = await start()
    admin = await administrator(service)
    other = await _another_administrator(service, password_hash="$argon2id$somebody's")

    outcomes = await asyncio.gather(admin.disable(admin.person_id), admin.delete(str(other)), return_exceptions=True)

    assert sum(isinstance(each, users_pb2.User) for each in outcomes) == 1
    left = await found(
        service,
        sa.select(schema.person.c.id).where(
            schema.person.c.disabled_at.is_(None), schema.person.c.deleted_at.is_(None)
        ),
    )
    assert len(left) == 1


async def test_whoever_a_mapped_role_makes_an_administrator_is_one(start: Start) -> None:
    service = await start(role_map="ISIS Instrument Scientist=admin")
    admin = await administrator(service)

    mapped = await signed_in(service, "staff1002")

    assert (await mapped.get(mapped.person_id)).level == 0
    assert (await admin.disable(admin.person_id)).state == users_pb2.USER_STATE_DISABLED
    assert (await refusal(mapped.disable(mapped.person_id))).verdict == LAST


async def test_whoever_is_not_asked_for_a_password_any_more_is_no_administrator_who_could_stay(start: Start) -> None:
    service = await start(role_map="ISIS Instrument Scientist=admin", providers="uows")
    await _another_administrator(service, password_hash="$argon2id$somebody's")
    mapped = await signed_in(service, "staff1002")

    for call in (mapped.disable(mapped.person_id), mapped.delete(mapped.person_id)):
        assert (await refusal(call)).verdict == LAST

    assert (await service.verify(mapped.token)).subject == mapped.person_id


async def _another_administrator(service: Service, *, password_hash: str | None) -> UUID:
    database = open_database(service.settings.database, budget=service.settings.database_timeout)
    now = datetime.now(UTC)

    async def step(connection: Any) -> UUID:
        person_id = await add(
            connection, username=new_name(), display_name="Other", password_hash=password_hash, now=now
        )
        await grant(connection, person_id, "admin", now=now)
        return person_id

    person_id = await database.transaction(step)
    await database.close()
    return person_id


@pytest.mark.row("E6")
async def test_pages_show_everybody_once_in_the_order_in_which_they_came(start: Start) -> None:
    admin = await administrator(await start())
    names = [new_name() for _ in range(7)]
    for name in names[:5]:
        await admin.create(name, password="")

    first = await admin.page(page_size=3)
    for name in names[5:]:
        await admin.create(name, password="")
    second = await admin.page(page_size=3, page_token=first.next_page_token)
    third = await admin.page(page_size=3, page_token=second.next_page_token)

    shown = [user.username for page in (first, second, third) for user in page.users]
    assert shown[1:] == names
    assert third.next_page_token == ""
    assert await admin.get(first.users[1].user_id) == first.users[1]


@pytest.mark.row("E6")
async def test_filters_leave_out_who_does_not_fit(admin: Acting) -> None:
    prefix, role = new_name(), await admin.role()
    made = {
        each: await admin.create(f"{prefix}-{each}", password="", email=f"{each}.{prefix}@example.org")
        for each in ("c", "a", "b", "d")
    }
    await admin.grant(made["b"].user_id, role.name)
    await admin.grant(made["a"].user_id, role.name)
    await admin.disable(made["c"].user_id)
    await admin.delete(made["d"].user_id)

    def named(letters: str) -> list[str]:
        return [f"{prefix}-{letter}" for letter in letters]

    disabled, deleted = users_pb2.USER_STATE_DISABLED, users_pb2.USER_STATE_DELETED
    assert await admin.listed(username_prefix=prefix.upper()) == named("abc")
    assert await admin.listed(username_prefix=f"{prefix}-b") == named("b")
    assert await admin.listed(email_prefix=f"B.{prefix}") == named("b")
    assert await admin.listed(email_prefix=f"b.{prefix}", username_prefix=prefix) == named("b")
    assert await admin.listed(role=role.name) == named("ba")
    assert await admin.listed(role=role.name, username_prefix=prefix) == named("ab")
    assert await admin.listed(username_prefix=prefix, state=users_pb2.USER_STATE_ACTIVE) == named("ab")
    assert await admin.listed(username_prefix=prefix, state=disabled) == named("c")
    assert await admin.listed(username_prefix=prefix, state=deleted) == named("d")
    assert set(named("d")) <= set(await admin.listed(state=deleted))
    assert set(named("c")) <= set(await admin.listed(state=disabled))
    assert await admin.listed(role=role.name, state=disabled) == []
    assert await admin.listed(role="unheard-of") == []


async def test_a_long_name_is_no_obstacle_to_the_next_page(admin: Acting) -> None:
    prefix = new_name()
    names = sorted(prefix + letter * 240 for letter in "字学校")
    for name in names:
        await admin.create(name, password="")

    assert sorted(await admin.listed(page_size=1, username_prefix=prefix)) == names


@pytest.mark.parametrize(
    "letters", ["a", "字", "🦊", "ß", "ﷺ", "".join(chr(0x3300 + number * 37 % 88) for number in range(255))]
)
async def test_a_name_of_the_longest_length_is_made_and_found(admin: Acting, letters: str) -> None:
    """Some of these letters are 18 in the key, and an index holds no more than 2,700 bytes."""
    name = (letters * 255)[:242] + str(uuid4().int)[:13]

    made = await admin.create(name, password="")

    assert (await admin.look_up(username=name)).user_id == made.user_id


@pytest.mark.row("E6")
async def test_a_page_token_is_good_for_its_own_listing_only(admin: Acting) -> None:
    prefix = new_name()
    for _ in range(2):
        await admin.create(f"{prefix}{new_name()}", password="")
    token = (await admin.page(username_prefix=prefix, page_size=1)).next_page_token
    plain = (await admin.page(page_size=1)).next_page_token

    for fields in (
        {"page_token": token},
        {"page_token": token, "username_prefix": prefix[:-1]},
        {"page_token": token, "username_prefix": prefix, "state": users_pb2.USER_STATE_ACTIVE},
        {"page_token": token, "email_prefix": prefix},
        {"page_token": plain, "username_prefix": prefix},
        {"page_token": token[:-2] + "AA", "username_prefix": prefix},
        {"page_token": "x" * 100_000},
        {"page_token": "\0"},
    ):
        refused = await refusal(admin.page(**fields))
        assert (refused.verdict, refused.fields) == (INVALID, {"page_token"})


@pytest.mark.parametrize(
    ("field", "filters"),
    [
        ("page_size", {"page_size": -1}),
        ("username_prefix", {"username_prefix": "a\0"}),
        ("username_prefix", {"username_prefix": "a" * 256}),
        ("email_prefix", {"email_prefix": "a\nb"}),
        ("role", {"role": "a,b"}),
        ("role", {"role": "staff"}),
        ("state", {"state": 17}),
    ],
)
async def test_a_listing_that_cannot_be_names_its_field(admin: Acting, field: str, filters: dict[str, Any]) -> None:
    refused = await refusal(admin.page(**filters))

    assert (refused.verdict, refused.fields) == (INVALID, {field})


async def test_a_persons_sessions_are_listed_and_ended_one_or_all(admin: Acting) -> None:
    user = await admin.create()
    pairs = [await admin.service.login(user.username, PASSWORD) for _ in range(3)]

    listed = await admin.sessions(user.user_id, page_size=2)
    rest = await admin.sessions(user.user_id, page_size=2, page_token=listed.next_page_token)
    own = await admin.sessions(admin.person_id)
    one = await admin.end_sessions(user.user_id, pairs[0].session_id)
    again = await admin.end_sessions(user.user_id, pairs[0].session_id)

    shown = [*listed.sessions, *rest.sessions]
    assert [each.session_id for each in shown] == [pair.session_id for pair in reversed(pairs)]
    assert all(each.address and each.user_agent and not each.is_current for each in shown)
    assert [each.is_current for each in own.sessions].count(True) == 1
    assert (one, again) == (1, 0)
    assert (await refusal(admin.service.verify(pairs[0].access_token))).verdict == REVOKED
    assert (await admin.service.verify(pairs[1].access_token)).subject == user.user_id
    assert await admin.end_sessions(user.user_id) == 2
    assert (await refusal(admin.service.verify(pairs[1].access_token))).verdict == REVOKED
    assert not (await admin.sessions(user.user_id)).sessions


async def test_thousands_of_sessions_end_within_one_step(start: Start) -> None:
    admin = await administrator(await start())
    user = await admin.create()
    person = await signed_in(admin.service, user.username, PASSWORD)
    await admin.service.sql(*_sessions_more(UUID(user.user_id), 5_000))

    disabled = await admin.disable(user.user_id)

    assert disabled.state == users_pb2.USER_STATE_DISABLED
    assert (await refusal(admin.service.verify(person.token))).verdict == REVOKED
    ended = sa.select(sa.func.count()).where(schema.audit_event.c.type == "session.ended")
    revoked = sa.select(sa.func.count()).select_from(schema.revocation)
    assert [(await found(admin.service, each))[0][0] for each in (ended, revoked)] == [5_001, 5_001]


def _sessions_more(person_id: UUID, number: int) -> list[sa.Executable]:
    """Statements that give the person so many live sessions."""
    now = datetime.now(UTC)
    moments = {"started_at": now, "rotated_at": now}
    ends = {"expires_at": now + timedelta(hours=1), "absolute_expires_at": now + timedelta(hours=1)}
    rows = [{"id": uuid4(), "person_id": person_id, "generation": 1, **moments, **ends} for _ in range(number)]
    return [sa.insert(schema.session).values(rows[begin : begin + 1_000]) for begin in range(0, number, 1_000)]


async def test_a_session_of_somebody_else_is_not_ended(admin: Acting) -> None:
    user = await admin.create()

    ended = await admin.end_sessions(user.user_id, (await admin.service.verify(admin.token)).session_id)

    assert ended == 0
    assert (await admin.service.verify(admin.token)).subject == admin.person_id


@pytest.mark.row("E13")
async def test_everybody_who_is_signed_in_finds_names_and_ids(admin: Acting) -> None:
    user = await admin.create(display_name="Grace")
    person = await signed_in(admin.service, "user1003")

    by_name = await person.look_up(username=user.username.upper())
    by_id = await person.look_up(user_id=user.user_id)
    neither = await refusal(person.look_up())
    nobody = await refusal(person.users.LookUpUser(users_pb2.LookUpUserRequest(username=user.username)))
    service = await refusal(
        person.users.LookUpUser(users_pb2.LookUpUserRequest(username=user.username), metadata=bearer(PORTAL_API_KEY))
    )

    assert by_name == by_id
    assert (by_id.user_id, by_id.username, by_id.display_name) == (user.user_id, user.username, "Grace")
    assert (neither.verdict, neither.fields) == (INVALID, {"user_id"})
    assert nobody.verdict == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    assert service.verdict == DENIED


async def test_nobody_takes_the_name_of_somebody_of_the_facility(admin: Acting) -> None:
    await signed_in(admin.service, "user1001")
    made = await admin.create(password="")

    created = await refusal(admin.create("USER1001", password=""))
    renamed = await refusal(admin.update(made.user_id, username="user1001"))
    request = users_pb2.RegisterRequest(username="user1001", password=PASSWORD)
    registered = await refusal(admin.users.Register(request))

    for each in (created, registered):
        assert (each.verdict, each.fields) == (TAKEN, {"username"})
    assert (renamed.verdict, renamed.fields) == (TAKEN, {"user.username"})


async def test_a_name_that_somebody_of_the_facility_came_with_as_well_means_neither(admin: Acting) -> None:
    ours = await admin.create("staff1002", password="")
    assert (await admin.look_up(username="STAFF1002")).user_id == ours.user_id
    upstream = await signed_in(admin.service, "staff1002")

    refused = await refusal(admin.look_up(username="staff1002"))

    assert refused.verdict == ("FAILED_PRECONDITION", "ACCOUNT_STATE")
    assert ours.user_id in refused.message
    assert upstream.person_id in refused.message
    assert (await admin.update(ours.user_id, username="Staff1002")).username == "Staff1002"
    await admin.delete(ours.user_id)
    assert (await admin.look_up(username="staff1002")).user_id == upstream.person_id
    await admin.purge(ours.user_id)


@pytest.mark.row("E17")
@pytest.mark.parametrize(
    ("deed", "events"),
    [
        (lambda admin, user: admin.update(user.user_id, display_name="x"), ["person.updated"]),
        (lambda admin, user: admin.set_password(user.user_id, ANOTHER_PASSWORD), ["password.set", "session.ended"]),
        (lambda admin, user: admin.disable(user.user_id, "why"), ["person.disabled", "session.ended"]),
        (lambda admin, user: admin.enable(user.user_id), ["person.enabled"]),
        (lambda admin, user: admin.delete(user.user_id), ["person.deleted", "session.ended"]),
        (lambda admin, user: admin.end_sessions(user.user_id), ["session.ended"]),
    ],
)
async def test_what_is_done_to_a_person_is_in_the_audit_log_with_who_did_it(
    admin: Acting, deed: Callable[[Acting, users_pb2.User], Awaitable[object]], events: list[str]
) -> None:
    user = await admin.create()
    await admin.service.login(user.username, PASSWORD)

    await deed(admin, user)

    event = schema.audit_event
    told = await found(
        admin.service, sa.select(event).where(event.c.subject_id == UUID(user.user_id)).order_by(event.c.id)
    )
    assert [row.type for row in told][2:] == events
    assert {(row.actor_kind, row.actor_id, row.outcome) for row in told[2:]} == {
        ("person", UUID(admin.person_id), "success")
    }
    assert all(row.request_id and row.address for row in told)
