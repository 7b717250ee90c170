"""Names that look alike, reserved names, and accounts that come with a hash from elsewhere, through the door."""

import hashlib

import bcrypt
import pytest
import sqlalchemy as sa
from auth_api.v1 import users_pb2, users_pb2_grpc

from auth_service.storage import schema
from tests.support.administering import PASSWORD, administrator, found, new_name
from tests.support.service import Service, refusal

INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
TAKEN = ("ALREADY_EXISTS", "ALREADY_EXISTS")


async def register(service: Service, username: str) -> users_pb2.User:
    users = users_pb2_grpc.UserServiceStub(service.channel)
    return (await users.Register(users_pb2.RegisterRequest(username=username, password=PASSWORD))).user


@pytest.mark.row("S50", "S58")
async def test_of_names_that_look_alike_one_can_be_had(service: Service) -> None:
    admin = await administrator(service)
    # All of these letters have twins, whatever number is in front.
    scope = new_name()[1:5].translate(str.maketrans("abcdef", "012345")) + "scope"
    number = scope.removesuffix("scope")
    await register(service, scope)

    for twin in (scope.upper(), f"{number}ѕсоре", f"{number}ЅСОРЕ", f"{number}ｓｃｏｐｅ", f"{number}𝓼𝓬𝓸𝓹𝓮"):
        assert (await refusal(register(service, twin))).verdict == TAKEN
        assert (await refusal(admin.create(twin))).verdict == TAKEN
    for odd in (f"{number}sco\u200bpe", f"\u202e{scope}", f"{scope}\u3164", f"{number}ѕcope", f" {scope}"):
        for refused in (await refusal(register(service, odd)), await refusal(admin.create(odd))):
            assert (refused.verdict, refused.fields) == (INVALID, {"username"})
    await service.login(f"{number}ＳCOPE", PASSWORD)


@pytest.mark.row("E8")
@pytest.mark.parametrize("name", ["admin", "Root", "ＳＵＰＰＯＲＴ", "no-reply", "ѕуѕтем"])
async def test_reserved_names_are_nobody_s(service: Service, name: str) -> None:
    admin = await administrator(service)

    for refused in (await refusal(register(service, name)), await refusal(admin.create(name))):
        assert (refused.verdict, refused.fields) == (INVALID, {"username"})


def werkzeugs(digest: str, password: str) -> str:
    made = hashlib.pbkdf2_hmac(digest, password.encode(), b"aB3dE6gH", 29000)
    return f"pbkdf2:{digest}:29000$aB3dE6gH${made.hex()}"


@pytest.mark.row("B11")
@pytest.mark.parametrize("kind", ["bcrypt", "sha256", "sha512"])
async def test_somebody_who_comes_with_a_hash_signs_in_as_before_and_has_ours_afterwards(
    service: Service, kind: str
) -> None:
    admin = await administrator(service)
    password = "old and weak"
    encoded = (
        bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode() if kind == "bcrypt" else werkzeugs(kind, password)
    )
    user = await admin.create(password="", password_hash=encoded)

    assert (await refusal(service.login(user.username, "old and wrong"))).reason == "BAD_CREDENTIALS"
    await service.login(user.username, password)

    table = schema.local_account
    rows = await found(service, sa.select(table.c.person_id, table.c.password_hash))
    [kept] = [row.password_hash for row in rows if str(row.person_id) == user.user_id]
    assert kept.startswith("$argon2id$")
    await service.login(user.username, password)
    assert (await refusal(service.login(user.username, "old and wrong"))).reason == "BAD_CREDENTIALS"


@pytest.mark.row("B11")
async def test_a_hash_that_nobody_could_check_makes_no_account(service: Service) -> None:
    admin = await administrator(service)
    name = new_name()

    for malformed in ("$2b$31$" + "a" * 53, "pbkdf2:sha256:99999999$salt$" + "0" * 64, "md5:salt$00", "x" * 100_000):
        refused = await refusal(admin.create(name, password="", password_hash=malformed))
        assert (refused.verdict, refused.fields) == (INVALID, {"password_hash"})
        assert malformed not in refused.message

    await admin.create(name)
