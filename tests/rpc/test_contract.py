"""What issue 2 fixed for those who call: fields, values and reasons, by the facility's people, on both databases."""

import re
from uuid import UUID

import jwt
import pytest
import sqlalchemy as sa
from auth_api.v1 import auth_pb2, keys_pb2

from auth_service.app import version
from auth_service.demo import Facility
from auth_service.demo.people import SCIENTIST
from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import AUDIENCE, ISSUER, PORTAL_API_KEY, Service, admin_token, bearer, refusal


@pytest.mark.row("A1", "B4", "A8")
async def test_login_gives_a_session_with_its_two_tokens(service: Service) -> None:
    pair = await service.login("user1001")

    assert pair.token_type == "Bearer"
    assert pair.expires_in.ToSeconds() == 600
    assert pair.refresh_expires_in.ToSeconds() == 12 * 3600
    assert str(UUID(pair.session_id)) == pair.session_id
    assert re.fullmatch(r"rt1\.[A-Za-z0-9_-]{80}", pair.refresh_token)
    assert len(pair.access_token) <= 2048


@pytest.mark.row("A6", "A9")
@pytest.mark.parametrize(
    ("username", "number", "roles"),
    [("user1001", 1001, ["user"]), ("staff1002", 1002, ["staff"]), ("user1003", 1003, ["user"])],
)
async def test_verify_tells_who_the_person_is(service: Service, username: str, number: int, roles: list[str]) -> None:
    pair = await service.login(username)

    told = await service.verify(pair.access_token)

    assert (told.user_number, list(told.roles), told.username) == (number, roles, username)
    assert (told.issuer, list(told.audience), told.session_id) == (ISSUER, [AUDIENCE], pair.session_id)
    assert told.expires_at.ToSeconds() - told.issued_at.ToSeconds() == 600
    assert told.subject == str(UUID(told.subject))
    assert told.key_id in {key["kid"] for key in await service.jwks()}


@pytest.mark.row("B5")
async def test_the_subject_is_the_same_at_every_sign_in(service: Service) -> None:
    first, second = await service.login(), await service.login()

    subjects = {(await service.verify(pair.access_token)).subject for pair in (first, second)}

    assert len(subjects) == 1
    assert first.session_id != second.session_id


async def test_a_larger_key_signs_as_well(start: Start) -> None:
    service = await start(key_size="3072")

    pair = await service.login("user1001")

    assert (await service.verify(pair.access_token)).user_number == 1001


@pytest.mark.row("A7", "S29", "S30", "S31")
async def test_the_claims_are_those_that_consumers_read(service: Service) -> None:
    token = (await service.login("staff1002")).access_token

    claims = jwt.decode(token, options={"verify_signature": False})

    assert jwt.get_unverified_header(token).keys() == {"alg", "typ", "kid"}
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims.keys() == {
        *("iss", "sub", "aud", "exp", "iat", "jti", "sid", "client_id"),
        *("roles", "role", "username", "usernumber"),
    }
    assert (claims["usernumber"], claims["role"], claims["roles"]) == (1002, "staff", ["staff"])
    assert all(type(claims[name]) is int for name in ("exp", "iat", "usernumber"))


@pytest.mark.row("A10", "S34")
async def test_refresh_spends_the_token_and_keeps_the_session(service: Service) -> None:
    pair = await service.login()

    successor = await service.refresh(pair.refresh_token)

    assert successor.session_id == pair.session_id
    assert successor.refresh_token != pair.refresh_token
    assert successor.token_type == "Bearer"
    assert successor.expires_in.ToSeconds() == 600
    assert successor.refresh_expires_in.ToSeconds() == 12 * 3600
    told, before = await service.verify(successor.access_token), await service.verify(pair.access_token)
    assert told.subject == before.subject


@pytest.mark.row("S37")
async def test_a_refresh_repeated_at_once_returns_the_same_successor(service: Service) -> None:
    pair = await service.login()

    successors = {(await service.refresh(pair.refresh_token)).refresh_token for _ in range(3)}

    assert len(successors) == 1


@pytest.mark.row("S35", "S38")
async def test_a_spent_token_ends_its_session_and_no_other(service: Service) -> None:
    stolen, other = await service.login(), await service.login()
    second = await service.refresh(stolen.refresh_token)
    third = await service.refresh(second.refresh_token)

    reused = await refusal(service.refresh(stolen.refresh_token))

    assert reused.verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_REUSED")
    for token in (stolen.refresh_token, second.refresh_token, third.refresh_token):
        assert (await refusal(service.refresh(token))).verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_REVOKED")
    assert (await refusal(service.verify(third.access_token))).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert (await service.refresh(other.refresh_token)).session_id == other.session_id


@pytest.mark.row("C12", "S43", "S32")
async def test_logout_ends_the_session_at_once_and_twice_is_fine(service: Service) -> None:
    pair = await service.login()

    assert await service.logout(pair.refresh_token) == auth_pb2.LogoutResponse()
    assert await service.logout(pair.refresh_token) == auth_pb2.LogoutResponse()

    assert (await refusal(service.verify(pair.access_token))).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    refused = await refusal(service.refresh(pair.refresh_token))
    assert refused.verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_REVOKED")


@pytest.mark.row("S43")
async def test_logout_of_an_unknown_token_is_fine(service: Service) -> None:
    assert await service.logout("rt1.never-heard-of") == auth_pb2.LogoutResponse()


@pytest.mark.row("A3", "C13", "S52", "S53")
async def test_wrong_password_and_unknown_name_are_one_answer(service: Service) -> None:
    wrong = await refusal(service.login("user1001", "not-the-password"))
    unknown = await refusal(service.login("nobody", "not-the-password"))

    assert wrong.verdict == unknown.verdict == ("UNAUTHENTICATED", "BAD_CREDENTIALS")
    assert wrong.message == unknown.message


@pytest.mark.row("A11")
async def test_refresh_tokens_are_refused_each_for_its_own_reason(service: Service) -> None:
    missing = await refusal(service.refresh(""))
    invalid = await refusal(service.refresh("rt1.garbage"))
    expired, ahead, ended = await service.login(), await service.login(), await service.login()
    session = schema.session
    in_the_past = (
        sa.func.now() if service.settings.database.startswith("postgres") else sa.text("'2020-01-01 00:00:00'")
    )
    await service.sql(
        sa.update(session).where(session.c.id == UUID(expired.session_id)).values(expires_at=in_the_past),
    )
    await service.logout(ended.refresh_token)

    assert missing.verdict == ("INVALID_ARGUMENT", "REFRESH_TOKEN_MISSING")
    assert missing.fields == {"refresh_token"}
    assert invalid.verdict == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
    token = service.refresh_tokens.write(UUID(ahead.session_id), 7)
    verdicts = [(await refusal(service.refresh(each))).verdict[1] for each in (expired.refresh_token, token)]
    assert verdicts == ["REFRESH_TOKEN_EXPIRED", "REFRESH_TOKEN_AHEAD"]
    assert (await service.refresh(ahead.refresh_token)).session_id == ahead.session_id
    assert (await refusal(service.refresh(ended.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"


async def test_logout_without_a_token_names_the_field(service: Service) -> None:
    refused = await refusal(service.logout(""))

    assert refused.verdict == ("INVALID_ARGUMENT", "REFRESH_TOKEN_MISSING")
    assert refused.fields == {"refresh_token"}


@pytest.mark.row("A12")
@pytest.mark.parametrize(
    ("username", "number", "expected"),
    [("user1001", 1001, [2200081, 2200082, 2200083]), ("staff1002", 1002, [9723, 1620354]), ("user1003", 1003, [])],
)
async def test_everybody_may_list_their_own_experiments(
    service: Service, username: str, number: int, expected: list[int]
) -> None:
    token = (await service.login(username)).access_token

    answer = await service.experiments(number, token)

    assert [each.rb_number for each in answer.experiments] == expected
    assert answer.next_page_token == ""


@pytest.mark.row("A12")
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_add_up_to_the_whole_list(service: Service, size: int) -> None:
    token = (await service.login("user1001")).access_token
    found, sizes, page_token = [], [], ""
    while True:
        page = await service.experiments(1001, token, page_size=size, page_token=page_token)
        found += [each.rb_number for each in page.experiments]
        sizes.append(len(page.experiments))
        page_token = page.next_page_token
        if not page_token:
            break

    assert found == [2200081, 2200082, 2200083]
    assert all(each == size for each in sizes[:-1])
    assert sizes[-1] > 0


async def test_page_tokens_are_good_for_their_own_listing_only(service: Service, start: Start) -> None:
    page_token = (await service.experiments(1001, PORTAL_API_KEY, page_size=1)).next_page_token
    elsewhere = await start(key_encryption_keys="b3RoZXIga2V5LWVuY3J5cHRpb24ga2V5LCAzMiBieXQ=")
    from_elsewhere = (await elsewhere.experiments(1001, PORTAL_API_KEY, page_size=1)).next_page_token
    altered = page_token[:-2] + ("A" if page_token[-2] != "A" else "B") + page_token[-1]

    for number, token in [
        (1002, page_token),
        (1001, from_elsewhere),
        (1001, altered),
        (1001, page_token + "="),
        (1001, "x" * 100_000),
        (1001, "\0é"),
    ]:
        refused = await refusal(service.experiments(number, PORTAL_API_KEY, page_token=token))
        assert refused.verdict == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert refused.fields == {"page_token"}


@pytest.mark.row("A12")
async def test_a_service_with_its_api_key_may_list_anybodys(service: Service) -> None:
    answer = await service.experiments(1002, PORTAL_API_KEY)

    assert [each.rb_number for each in answer.experiments] == [9723, 1620354]


@pytest.mark.row("A12", "S63")
async def test_staff_may_list_anybodys_and_others_only_their_own(service: Service) -> None:
    staff, user = await service.login("staff1002"), await service.login("user1001")

    assert len((await service.experiments(1001, staff.access_token)).experiments) == 3
    refused = await refusal(service.experiments(1002, user.access_token))
    assert refused.verdict == ("PERMISSION_DENIED", "PERMISSION_DENIED")


@pytest.mark.parametrize("number", [0, -1, -(2**63), 2**53, 2**63 - 1])
async def test_a_user_number_out_of_range_names_the_field(service: Service, number: int) -> None:
    refused = await refusal(service.experiments(number, PORTAL_API_KEY))

    assert refused.verdict == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refused.fields == {"user_number"}


async def test_a_negative_page_size_names_the_field(service: Service) -> None:
    refused = await refusal(service.experiments(1001, PORTAL_API_KEY, page_size=-1))

    assert refused.fields == {"page_size"}
    assert len((await service.experiments(1001, PORTAL_API_KEY, page_size=2**31 - 1)).experiments) == 3


async def test_the_key_set_is_the_same_over_grpc_and_http(service: Service) -> None:
    over_grpc = await service.auth.GetJwks(auth_pb2.GetJwksRequest())

    keys = [{name.name: value for name, value in key.ListFields()} for key in over_grpc.keys]

    assert keys == await service.jwks()
    assert len(keys) >= 2
    assert over_grpc.ring_version >= 1


@pytest.mark.row("E16")
async def test_the_server_says_which_it_is(start: Start) -> None:
    service = await start(build="4f2a1c")

    info = await service.auth.GetServerInfo(auth_pb2.GetServerInfoRequest())

    assert (info.name, info.version, info.build, info.issuer) == ("auth-service", version(), "4f2a1c", ISSUER)


@pytest.mark.row("A6")
async def test_a_listed_user_number_is_staff_from_the_next_refresh_until_it_is_removed(start: Start) -> None:
    service = await start(provider_recheck_after="1h")
    pair = await service.login("user1003")

    await service.sql(sa.insert(schema.staff).values(user_number=1003))
    listed = await service.refresh(pair.refresh_token)
    await service.sql(sa.delete(schema.staff).where(schema.staff.c.user_number == 1003))
    removed = await service.refresh(listed.refresh_token)

    tokens = (pair.access_token, listed.access_token, removed.access_token)
    assert [list((await service.verify(token)).roles) for token in tokens] == [["user"], ["staff"], ["user"]]


@pytest.mark.row("A6", "A10")
async def test_a_role_that_the_facility_gives_or_takes_shows_when_it_is_asked_again(
    start: Start, facility: Facility
) -> None:
    service = await start(provider_recheck_after="0s")
    facility.knows("ada", "ada-password", number=4711)
    pair = await service.login("ada")

    facility.knows("ada", "ada-password", number=4711, roles=[SCIENTIST])
    promoted = await service.refresh(pair.refresh_token)
    facility.knows("ada", "ada-password", number=4711)
    demoted = await service.refresh(promoted.refresh_token)

    tokens = (pair.access_token, promoted.access_token, demoted.access_token)
    assert [list((await service.verify(token)).roles) for token in tokens] == [["user"], ["staff"], ["user"]]


@pytest.mark.row("S45", "E21")
async def test_a_disabled_person_is_out_at_the_next_refresh(start: Start) -> None:
    service = await start()
    pair = await service.login()
    subject = UUID((await service.verify(pair.access_token)).subject)

    await service.sql(
        sa.update(schema.person).where(schema.person.c.id == subject).values(disabled_at=sa.func.current_timestamp())
    )

    assert (await refusal(service.refresh(pair.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
    assert (await refusal(service.verify(pair.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(service.login())).verdict == ("UNAUTHENTICATED", "BAD_CREDENTIALS")


@pytest.mark.row("A4")
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/role", "/v1/basic-person-details"])
async def test_a_failing_facility_is_unavailable_and_not_a_wrong_password(
    start: Start, facility: Facility, path: str
) -> None:
    service = await start()
    facility.fault = {path: "status 500"}

    refused = await refusal(service.login())
    facility.fault = {}

    assert refused.verdict == ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")
    assert refused.details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert (await service.login()).session_id


@pytest.mark.row("A14")
async def test_failing_allocations_are_unavailable(start: Start, facility: Facility) -> None:
    service = await start()
    facility.fault = {"/graphql": "graphql errors"}

    refused = await refusal(service.experiments(1001, PORTAL_API_KEY))
    facility.fault = {}

    assert refused.verdict == ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")
    assert "secret" not in refused.message
    assert refused.details["RetryInfo"].retry_delay.ToMilliseconds() > 0


@pytest.mark.row("S27")
async def test_a_program_with_only_pyjwt_and_the_key_set_follows_rotation_and_revocation(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    before = (await service.login()).access_token

    assert await by_pyjwt(service, before) == 1001
    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=bearer(admin))
    after = (await service.login()).access_token

    assert jwt.get_unverified_header(after)["kid"] == rotated.active.kid != jwt.get_unverified_header(before)["kid"]
    assert [await by_pyjwt(service, token) for token in (before, after)] == [1001, 1001]
    await service.keys.RevokeSigningKey(
        keys_pb2.RevokeSigningKeyRequest(kid=rotated.demoted.kid), metadata=bearer(admin)
    )
    with pytest.raises(LookupError):
        await by_pyjwt(service, before)
    assert await by_pyjwt(service, after) == 1001
    assert (await refusal(service.verify(before))).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")


@pytest.mark.row("A22", "D5", "S32")
async def test_another_replica_refuses_the_tokens_of_an_ended_session(start: Start) -> None:
    one, other = await start(), await start()
    pair = await one.login()
    assert (await other.verify(pair.access_token)).session_id == pair.session_id

    await one.logout(pair.refresh_token)

    async def is_refused() -> bool:
        try:
            await other.verify(pair.access_token)
        except Exception:  # noqa: BLE001 -- whatever it is, the next line asks for the reason
            return True
        return False

    await eventually(is_refused)
    assert (await refusal(other.verify(pair.access_token))).reason == "TOKEN_REVOKED"


async def by_pyjwt(service: Service, token: str) -> int:
    """The user number, by nothing but PyJWT and the key set's address."""
    keys = jwt.PyJWKSet.from_dict({"keys": await service.jwks()})
    kid = jwt.get_unverified_header(token)["kid"]
    found = next((key for key in keys.keys if key.key_id == kid), None)
    if found is None:
        raise LookupError(kid)
    claims = jwt.decode(token, found, algorithms=["RS256"], issuer=ISSUER, audience=AUDIENCE)
    return int(claims["usernumber"])
