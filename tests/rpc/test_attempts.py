"""Guessing passwords: how often, from where, and whom it keeps out."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from functools import partial

import grpc
import pytest
from auth_api.v1 import auth_pb2, users_pb2, users_pb2_grpc

from auth_service import app
from auth_service.demo import Facility
from auth_service.domain.accounts import LOCAL
from auth_service.domain.audit import OPERATOR
from auth_service.storage import attempts
from auth_service.storage.opening import open_database
from tests.rpc.conftest import Start, through_valkey
from tests.rpc.test_mail import NEW_PASSWORD, smtp_settings, somebody
from tests.support.administering import PASSWORD, administrator, new_name
from tests.support.conditions import eventually
from tests.support.mail_server import running_mail_server
from tests.support.service import PORTAL_API_KEY, Logs, Refusal, Service, refusal

DEFAULTS = {"failures_here": "4", "failures_per_account": "6", "failures_per_address": "30"}
PROXY = "127.0.0.1"
OWNER, RIGHT = "user1001", "user1001-password"
WRONG, LATER = "BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"
AWAY = ("UNAVAILABLE", "PROVIDER_UNAVAILABLE")


@pytest.fixture(params=["through the database", "through Valkey"])
def shared_limits(request: pytest.FixtureRequest) -> dict[str, str]:
    return through_valkey(request.getfixturevalue("valkey")) if request.param == "through Valkey" else {}


async def limited(start: Start, **changes: str) -> Service:
    """A service as it is where nobody sets limits."""
    return await start(waits=True, **DEFAULTS, **changes)


async def said(service: Service, username: str, password: str, *, address: str | None = None) -> Refusal | None:
    """How the sign-in was refused; None if it was not."""
    metadata = (("x-forwarded-for", address),) if address else None
    try:
        await service.auth.Login(auth_pb2.LoginRequest(username=username, password=password), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    return None


async def guesses(service: Service, names: list[str], *, address: str | None = None) -> Counter[str]:
    """One wrong password for each of `names`, one after another: how many came to what."""
    refusals = [await said(service, name, f"wrong {number}", address=address) for number, name in enumerate(names)]
    return Counter(each.reason if each else "OK" for each in refusals)


@pytest.mark.row("S47", "E2")
async def test_an_account_bears_a_few_guesses_and_then_none_for_a_while(start: Start, facility: Facility) -> None:
    service = await limited(start)
    asked = facility.hits["/v1/sessions"]

    assert await guesses(service, [OWNER] * 40) == {WRONG: 4, LATER: 36}
    assert facility.hits["/v1/sessions"] - asked == 4
    assert (await said(service, OWNER, RIGHT)) is not None


@pytest.mark.row("S48")
async def test_a_refusal_says_when_to_come_again(start: Start) -> None:
    service = await limited(start)
    await guesses(service, [OWNER] * 4)

    refused = await refusal(service.login(OWNER))

    assert refused.verdict == ("RESOURCE_EXHAUSTED", LATER)
    assert 55 <= refused.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() <= 60


@pytest.mark.row("S49")
async def test_a_name_that_nobody_has_is_refused_like_any_other(start: Start) -> None:
    service = await limited(start)
    await service.login(OWNER)

    known = [await said(service, OWNER, f"wrong {number}") for number in range(8)]
    unknown = [await said(service, "nobody-of-this-name", f"wrong {number}") for number in range(8)]

    assert [(each and (each.verdict, each.message)) for each in known] == [
        (each and (each.verdict, each.message)) for each in unknown
    ]


@pytest.mark.row("S47", "S50")
async def test_guesses_at_the_same_time_are_counted_as_if_one_by_one(start: Start, facility: Facility) -> None:
    service = await limited(start)
    asked = facility.hits["/v1/sessions"]

    refusals = await asyncio.gather(*(said(service, OWNER, f"wrong {number % 7}") for number in range(100)))

    assert Counter(each.reason for each in refusals if each) == {WRONG: 4, LATER: 96}
    assert facility.hits["/v1/sessions"] - asked == 4


@pytest.mark.row("S50")
async def test_other_spellings_buy_no_guesses(start: Start) -> None:
    service = await limited(start)
    spellings = [OWNER.upper(), f"{OWNER}\u200b", "ｕｓｅｒ1001", f"{OWNER} ", "uſer1001", f"\u2060{OWNER}"]

    assert await guesses(service, [OWNER, *spellings, OWNER, *spellings]) == {WRONG: 4, LATER: 10}


@pytest.mark.row("S50")
async def test_an_address_that_a_stranger_claims_buys_no_guesses(start: Start) -> None:
    service = await limited(start)

    told = [await said(service, OWNER, f"wrong {number}", address=f"192.0.2.{number}") for number in range(20)]

    assert Counter(each.reason for each in told if each) == {WRONG: 4, LATER: 16}


@pytest.mark.row("S50")
async def test_addresses_of_one_customer_are_one(start: Start) -> None:
    service = await limited(start, trusted_proxies=PROXY)

    told = [await said(service, OWNER, f"wrong {number}", address=f"2001:db8::{number}") for number in range(20)]

    assert Counter(each.reason for each in told if each) == {WRONG: 4, LATER: 16}


@pytest.mark.row("S51")
async def test_after_two_hundred_wrong_tries_of_a_stranger_the_owner_is_in(start: Start) -> None:
    service = await limited(start, trusted_proxies=PROXY)

    assert await guesses(service, [OWNER] * 200, address="192.0.2.66") == {WRONG: 4, LATER: 196}

    assert await said(service, OWNER, RIGHT, address="198.51.100.7") is None


@pytest.mark.row("S47", "S51")
async def test_guessing_from_everywhere_keeps_out_strangers_but_not_the_owner_at_home(start: Start) -> None:
    service = await limited(start, trusted_proxies=PROXY)
    assert await said(service, OWNER, RIGHT, address="198.51.100.7") is None

    told = [await said(service, OWNER, f"wrong {number}", address=f"192.0.2.{number}") for number in range(40)]

    assert Counter(each.reason for each in told if each) == {WRONG: 6, LATER: 34}
    assert (refused := await said(service, OWNER, RIGHT, address="203.0.113.1")) is not None
    assert refused.reason == LATER
    assert await said(service, OWNER, RIGHT, address="198.51.100.7") is None


@pytest.mark.row("E2")
async def test_trying_one_password_on_everybody_is_slow_as_well(start: Start) -> None:
    service = await limited(start, trusted_proxies=PROXY)

    told = await guesses(service, [f"somebody{number}" for number in range(60)], address="192.0.2.66")

    assert told == {WRONG: 30, LATER: 30}
    assert await said(service, OWNER, RIGHT, address="198.51.100.7") is None


@pytest.mark.row("E2")
async def test_replicas_count_together(start: Start, facility: Facility) -> None:
    replicas = [await limited(start) for _ in range(3)]
    asked = facility.hits["/v1/sessions"]

    told = await asyncio.gather(
        *(said(replicas[number % 3], OWNER, f"wrong {number}") for number in range(90)),
    )

    # Each may have had one under way that it had not told the others of.
    assert Counter(each.reason for each in told if each)[WRONG] <= 4 + 2
    assert facility.hits["/v1/sessions"] - asked <= 4 + 2
    for replica in replicas:
        assert (await refusal(replica.login(OWNER))).reason == LATER


async def test_the_right_password_many_times_at_once_waits_for_nobody_s_guesses(start: Start) -> None:
    service = await limited(start)

    pairs = await asyncio.gather(*(service.login(OWNER) for _ in range(60)))

    assert len({pair.session_id for pair in pairs}) == 60


async def test_what_nobody_could_judge_is_no_failure(start: Start, facility: Facility) -> None:
    service = await limited(start, providers="uows")
    facility.fault = {"/v1/sessions": "status 500"}
    refused = [await said(service, OWNER, f"wrong {number}") for number in range(4)]
    facility.fault = {}

    assert [each and each.code for each in refused] == [grpc.StatusCode.UNAVAILABLE] * 4
    assert await guesses(service, [OWNER] * 3) == {WRONG: 3}


@pytest.mark.row("S47", "S49")
async def test_while_one_provider_is_away_guesses_at_the_others_people_count_as_ever(
    start: Start, facility: Facility
) -> None:
    service = await limited(start)
    known = (await (await administrator(service)).create()).username
    facility.fault = {"/v1/sessions": "status 500"}

    told, of_nobody = [
        [await said(service, name, f"wrong {number}") for number in range(10)]
        for name in (known, "nobody-of-this-name")
    ]
    right = await said(service, known, PASSWORD)
    facility.fault = {}

    assert Counter(each.verdict for each in told if each) == {AWAY: 4, ("RESOURCE_EXHAUSTED", LATER): 6}
    assert [each and each.verdict for each in of_nobody] == [each and each.verdict for each in told]
    assert right is not None
    assert right.reason == LATER


async def test_whoever_tries_again_until_a_provider_is_back_is_let_in_at_once(start: Start, facility: Facility) -> None:
    service = await limited(start)
    facility.fault = {"/v1/sessions": "status 500"}
    told = [await said(service, OWNER, RIGHT) for _ in range(4)]
    facility.fault = {}

    assert [each and each.verdict for each in told] == [AWAY] * 4
    assert await guesses(service, [OWNER] * 3) == {WRONG: 3}


@pytest.mark.row("S50")
async def test_names_that_differ_by_a_space_have_nothing_in_common(start: Start) -> None:
    service = await limited(start)
    name = new_name()
    await (await administrator(service)).create(f"{name[:4]} {name[4:]}")

    assert await guesses(service, [name] * 6) == {WRONG: 4, LATER: 2}

    assert await said(service, f" {name[:4]}  {name[4:].upper()} ", PASSWORD) is None


async def test_the_service_knows_a_caller_s_address_from_its_proxy(start: Start, logs: Logs) -> None:
    service = await limited(start, trusted_proxies=PROXY)
    logs.clear()

    await guesses(service, [OWNER] * 5, address="2001:db8:1:2::3, 127.0.0.1")

    assert [line["address"] for line in logs.named("attempts.refused")] == ["2001:db8:1:2::/64"]


@pytest.mark.row("E2")
@pytest.mark.parametrize("secret", ["reset token", "verification token"])
async def test_guessing_secrets_that_name_nobody_is_slow_and_keeps_nobody_from_signing_in(
    start: Start, secret: str
) -> None:
    service = await limited(start)
    users = users_pb2_grpc.UserServiceStub(service.channel)

    async def guess() -> str:
        call: Awaitable[object]
        if secret == "reset token":
            request = users_pb2.ResetPasswordRequest(token="of nobody", new_password="a pass phrase, chosen now")
            call = users.ResetPassword(request)
        else:
            call = users.VerifyEmail(users_pb2.VerifyEmailRequest(token="of nobody"))
        return (await refusal(call)).reason

    told = Counter([await guess() for _ in range(40)])

    assert told[LATER] == 10
    assert await said(service, OWNER, RIGHT) is None


async def test_a_service_that_retries_an_old_key_locks_nobody_behind_its_address_out(start: Start) -> None:
    service = await limited(start)

    async def login(key: str) -> object:
        return await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=key))

    told = Counter([(await refusal(login("of nobody"))).reason for _ in range(60)])

    assert told == {"CREDENTIALS_INVALID": 60}
    assert await login(PORTAL_API_KEY)


@pytest.mark.row("E2")
async def test_an_administrator_s_word_ends_the_waiting_on_every_replica(start: Start) -> None:
    replicas = [await limited(start) for _ in range(2)]
    await replicas[0].login(OWNER)
    for replica in replicas:
        await guesses(replica, [OWNER] * 6)
        assert (await refusal(replica.login(OWNER))).reason == LATER

    async with app.administering(replicas[0].settings) as use:
        await use.standing.enable((await use.accounts.addressed(OWNER)).id, origin=OPERATOR)

    for replica in replicas:
        await eventually(partial(is_in, replica))


@pytest.mark.row("E2")
@pytest.mark.parametrize("how", ["is enabled", "is given a password", "resets it by mail"])
async def test_whoever_is_let_in_again_waits_no_longer(start: Start, how: str) -> None:
    async with running_mail_server() as post:
        service = await limited(start, **smtp_settings(post))
        ada = await somebody(service, post, email=f"{new_name()}@example.org")
        root = await administrator(service)
        assert await guesses(service, [ada.user.username] * 6) == {WRONG: 4, LATER: 2}

        if how == "is enabled":
            await root.enable(ada.user.user_id)
        elif how == "is given a password":
            await root.set_password(ada.user.user_id, NEW_PASSWORD)
        else:
            await ada.reset((await ada.forget()).token)

        password = PASSWORD if how == "is enabled" else NEW_PASSWORD

        async def is_in_again() -> bool:
            return await said(service, ada.user.username, password) is None

        await eventually(is_in_again)


async def test_whoever_bears_the_same_name_elsewhere_neither_forgives_guesses_nor_is_at_home(start: Start) -> None:
    """A stranger who came first with a name of the facility's, and has a session and a mailed token."""
    service = await limited(start, trusted_proxies=PROXY)
    await (await administrator(service)).create(OWNER)
    assert await said(service, OWNER, PASSWORD, address="192.0.2.200") is None
    assert await said(service, OWNER, RIGHT, address="198.51.100.7") is None
    told = [await said(service, OWNER, f"wrong {number}", address=f"192.0.2.{number}") for number in range(8)]

    database = open_database(service.settings.database, budget=service.settings.database_timeout)
    may_forgive = await database.autocommit(
        lambda connection: attempts.is_only_one_of(connection, OWNER, provider=LOCAL)
    )
    homes = await database.autocommit(lambda connection: attempts.addresses_of(connection, OWNER))
    await database.close()

    assert Counter(each.reason for each in told if each) == {WRONG: 6, LATER: 2}
    assert not may_forgive
    assert homes == []
    assert (refused := await said(service, OWNER, "wrong", address="192.0.2.200")) is not None
    assert refused.reason == LATER


async def is_in(service: Service) -> bool:
    return await said(service, OWNER, RIGHT) is None
