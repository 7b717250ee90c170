"""UOWS over a real socket, on good days and bad ones."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from auth_service.demo import Facility, running_facility
from auth_service.demo.people import SCIENTIST
from auth_service.domain.errors import AuthError, BadCredentials, ProviderUnavailable
from auth_service.domain.people import Identity, IdentityProvider, Person
from auth_service.providers.breaker import Breaker
from auth_service.providers.uows import Uows
from tests.providers.clock import Clock
from tests.providers.conftest import UOWS_API_KEY
from tests.providers.leaks import chain_of, everything_in
from tests.support.ports import port_of, reserve_port

SESSIONS, DETAILS, ROLE = "/v1/sessions", "/v1/basic-person-details", "/v1/role"
RUBBISH = (
    *("status 200", "status 204", "status 400", "status 403", "status 404", "status 429", "status 500", "status 503"),
    *("reset", "html", "bad json", "nested", "null", "redirect", "huge", "bomb", "answer 5", 'answer ["a"]', "answer "),
)


def person(number: int | None, *, roles: frozenset[str] = frozenset()) -> Person:
    return Person(
        id=uuid4(),
        provider="uows",
        provider_subject=str(number),
        username="somebody",
        display_name="Some Body",
        user_number=number,
        provider_roles=roles,
        provider_checked_at=datetime(2026, 1, 1, tzinfo=UTC),
        granted_roles=frozenset(),
        is_listed_staff=False,
    )


async def sign_in(uows: Uows, name: str = "user1001") -> Identity:
    return await uows.authenticate(username=name, password=f"{name}-password")


async def as_soon_as_admitted(uows: Uows) -> Identity:
    async with asyncio.timeout(30):
        while True:
            try:
                return await sign_in(uows)
            except ProviderUnavailable:
                await asyncio.sleep(0)


async def assert_unavailable(uows: Uows) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as refusal:
        await sign_in(uows)
    return refusal.value


@pytest.mark.row("A5")
async def test_a_person_signs_in(uows: Uows) -> None:
    identity = await sign_in(uows)

    assert identity == Identity(
        provider="uows", subject="1001", username="user1001", display_name="user1001", user_number=1001
    )


def test_it_is_an_identity_provider() -> None:
    provider: IdentityProvider = Uows("http://127.0.0.1", api_key="")

    assert provider.name == "uows"


@pytest.mark.row("A7")
async def test_the_user_number_is_an_integer_even_where_uows_sends_a_string(uows: Uows) -> None:
    identity = await sign_in(uows, "staff1002")

    assert identity.user_number == 1002
    assert type(identity.user_number) is int
    assert identity.provider_roles == {SCIENTIST}


@pytest.mark.row("E20")
async def test_nobody_has_to_have_a_role(uows: Uows) -> None:
    assert (await sign_in(uows, "user1003")).provider_roles == frozenset()


async def test_names_and_passwords_travel_as_they_are(uows: Uows, facility: Facility) -> None:
    facility.knows('Zoë"; --', "pä\\ss 密码 {}", number=7, display_name="Zoë 学")

    identity = await uows.authenticate(username='Zoë"; --', password="pä\\ss 密码 {}")

    assert (identity.subject, identity.display_name) == ("7", "Zoë 学")


@pytest.mark.row("S53")
async def test_unknown_name_and_wrong_password_are_refused_alike(uows: Uows, facility: Facility) -> None:
    with pytest.raises(BadCredentials) as wrong_password:
        await uows.authenticate(username="user1001", password="wrong")
    with pytest.raises(BadCredentials) as unknown_name:
        await uows.authenticate(username="nobody", password="wrong")

    assert str(wrong_password.value) == str(unknown_name.value)
    assert facility.hits[DETAILS] == facility.hits[ROLE] == 0


async def test_roles_are_those_of_now(uows: Uows, facility: Facility) -> None:
    assert await uows.current_roles(person(1001)) == frozenset()

    facility.knows("user1001", "user1001-password", number=1001, roles=["Guest", SCIENTIST])

    assert await uows.current_roles(person(1001)) == {"Guest", SCIENTIST}


async def test_a_person_without_a_user_number_keeps_their_roles(uows: Uows, facility: Facility) -> None:
    assert await uows.current_roles(person(None, roles=frozenset({"kept"}))) == {"kept"}
    assert facility.hits.total() == 0


@pytest.mark.parametrize("path", [SESSIONS, DETAILS, ROLE])
@pytest.mark.parametrize("mode", RUBBISH)
async def test_rubbish_is_no_answer(uows: Uows, facility: Facility, path: str, mode: str) -> None:
    facility.fault = {path: mode}

    refusal = await assert_unavailable(uows)

    assert chain_of(refusal) == [refusal]
    assert facility.hits["/elsewhere"] == 0
    assert facility.hits[SESSIONS] == 1

    facility.fault = {}
    assert (await sign_in(uows)).user_number == 1001


@pytest.mark.row("A6")
@pytest.mark.parametrize("mode", RUBBISH)
async def test_roles_are_not_guessed(uows: Uows, facility: Facility, mode: str) -> None:
    facility.fault = {ROLE: mode}

    with pytest.raises(ProviderUnavailable):
        await uows.current_roles(person(1002, roles=frozenset({SCIENTIST})))


@pytest.mark.parametrize(
    "user_id",
    [
        *("null", "true", "false", "0", "-1", "1.5", "1001.0", "1e3", "9007199254740992", "1" * 40, "[]", "{}", "NaN"),
        *('""', '"0"', '"-1"', '" 1001"', '"1_001"', '"１００１"', '"1001; DROP"', '"9007199254740992"', '"٣"'),
    ],
)
async def test_what_is_no_user_number_signs_nobody_in(uows: Uows, facility: Facility, user_id: str) -> None:
    facility.fault = {SESSIONS: f'answer {{"userId": {user_id}}}'}

    await assert_unavailable(uows)

    assert facility.hits[DETAILS] == 0


@pytest.mark.parametrize("body", ["{}", "[]", '{"userid": 1001}', "5" * 5000])
async def test_a_sign_in_without_user_id_signs_nobody_in(uows: Uows, facility: Facility, body: str) -> None:
    facility.fault = {SESSIONS: f"answer {body}"}

    await assert_unavailable(uows)


async def test_a_user_id_as_text_is_fine(uows: Uows, facility: Facility) -> None:
    facility.fault = {SESSIONS: "string id"}

    assert (await sign_in(uows)).user_number == 1001


async def test_the_user_id_of_nobody_signs_nobody_in(uows: Uows, facility: Facility) -> None:
    facility.fault = {SESSIONS: "wrong user id"}

    await assert_unavailable(uows)


@pytest.mark.row("A5")
@pytest.mark.parametrize(
    "entries",
    [
        *("[]", "[{}]", "[null]", '[{"displayName": null}]', '[{"displayName": ""}]', '[{"displayName": "  "}]'),
        *('[{"displayName": 5}]', '[{"displayName": "\\ud800"}]', '[{"displayName": "a\\u0000b"}]'),
        *(f'[{{"displayName": "{"x" * 256}"}}]', '[{"displayName": "Ada", "userNumber": "1002"}]'),
    ],
)
async def test_without_usable_details_nobody_is_signed_in(uows: Uows, facility: Facility, entries: str) -> None:
    facility.fault = {DETAILS: f"answer {entries}"}

    await assert_unavailable(uows)


async def test_details_may_repeat_the_user_number(uows: Uows, facility: Facility) -> None:
    facility.fault = {DETAILS: 'answer [{"userNumber": "1001", "displayName": "Ada"}]'}

    assert (await sign_in(uows)).display_name == "Ada"


@pytest.mark.parametrize(
    "entries", ["[{}]", '[{"name": null}]', '[{"name": "Guest"}, {"name": 5}]', '{"name": "Guest"}']
)
async def test_one_unusable_role_spoils_all(uows: Uows, facility: Facility, entries: str) -> None:
    facility.fault = {ROLE: f"answer {entries}"}

    await assert_unavailable(uows)


async def test_a_wrong_api_key_is_not_the_persons_fault(facility: Facility) -> None:
    uows = Uows(facility.url, api_key="another")

    await assert_unavailable(uows)
    await uows.close()


@pytest.mark.parametrize("path", [SESSIONS, DETAILS, ROLE])
async def test_a_hanging_call_ends_with_the_deadline(facility: Facility, path: str) -> None:
    uows = Uows(facility.url, api_key=UOWS_API_KEY, deadline=timedelta(milliseconds=300))
    facility.fault = {path: "hang"}

    refusal = await assert_unavailable(uows)

    assert str(refusal) == "UOWS did not answer in time"
    await uows.close()


async def test_slow_is_not_broken(uows: Uows, facility: Facility) -> None:
    facility.fault = {"/v1": "slow:0.01"}

    assert (await sign_in(uows)).user_number == 1001


async def test_details_and_roles_are_asked_for_together(uows: Uows, facility: Facility) -> None:
    facility.fault = {DETAILS: "hang", ROLE: "hang"}

    signing_in = asyncio.create_task(sign_in(uows))
    await facility.was_asked(DETAILS)
    await facility.was_asked(ROLE)
    facility.fault = {}

    assert (await signing_in).user_number == 1001


async def test_nobody_listening_is_unavailable(clock: Clock) -> None:
    with reserve_port() as held:
        uows = Uows(f"http://127.0.0.1:{port_of(held)}", api_key="", breaker=Breaker("UOWS", clock=clock))

        refusal = await assert_unavailable(uows)

    assert "127.0.0.1" not in everything_in(refusal).split("\n")[-1]
    assert chain_of(refusal) == [refusal]
    await uows.close()


async def test_uows_may_restart(clock: Clock) -> None:
    with reserve_port() as held:
        async with running_facility(port=port_of(held)) as facility:
            uows = Uows(facility.url, api_key="", breaker=Breaker("UOWS", clock=clock))
            await sign_in(uows)
        await assert_unavailable(uows)
        async with running_facility(port=port_of(held)):
            assert (await sign_in(uows)).user_number == 1001
    await uows.close()


async def test_connections_are_bounded(facility: Facility) -> None:
    uows = Uows(facility.url, api_key=UOWS_API_KEY, connections=3, deadline=timedelta(seconds=30))
    facility.fault = {SESSIONS: "hang"}

    async with asyncio.TaskGroup() as crowd:
        signing_in = [crowd.create_task(sign_in(uows)) for _ in range(20)]
        await facility.was_asked(SESSIONS, times=3)
        facility.fault = {}

    assert [task.result().user_number for task in signing_in] == [1001] * 20
    assert facility.busiest == 3
    await uows.close()


async def test_a_caller_who_leaves_gives_the_connection_back(facility: Facility) -> None:
    uows = Uows(facility.url, api_key=UOWS_API_KEY, connections=1, deadline=timedelta(seconds=30))
    facility.fault = {SESSIONS: "hang"}
    leaving = asyncio.create_task(sign_in(uows))
    await facility.was_asked(SESSIONS)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    facility.fault = {}

    assert (await sign_in(uows)).user_number == 1001
    await uows.close()


async def test_the_breaker_spares_uows_and_lets_one_probe_through(uows: Uows, facility: Facility, clock: Clock) -> None:
    facility.fault = {SESSIONS: "status 500"}
    for _ in range(5):
        await assert_unavailable(uows)

    refusal = await assert_unavailable(uows)

    assert facility.hits[SESSIONS] == 5
    assert refusal.retry_after == timedelta(seconds=10)

    clock.advance(10)
    await assert_unavailable(uows)
    await assert_unavailable(uows)

    assert facility.hits[SESSIONS] == 6

    clock.advance(10)
    facility.fault = {}

    assert (await sign_in(uows)).user_number == 1001
    assert (await sign_in(uows)).user_number == 1001


async def test_a_probe_whose_caller_leaves_does_not_keep_the_breaker_open(
    uows: Uows, facility: Facility, clock: Clock
) -> None:
    facility.fault = {SESSIONS: "status 500"}
    for _ in range(5):
        await assert_unavailable(uows)
    clock.advance(10)
    facility.fault = {SESSIONS: "hang"}
    probe = asyncio.create_task(sign_in(uows))
    await facility.was_asked(SESSIONS, times=6)

    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    await assert_unavailable(uows)
    facility.fault = {}

    # The clock stands still, so that nobody else may probe.
    assert (await as_soon_as_admitted(uows)).user_number == 1001
    assert facility.hits[SESSIONS] == 7


async def test_closing_ends_a_probe_whose_caller_left(uows: Uows, facility: Facility, clock: Clock) -> None:
    facility.fault = {SESSIONS: "status 500"}
    for _ in range(5):
        await assert_unavailable(uows)
    clock.advance(10)
    facility.fault = {SESSIONS: "hang"}
    before = asyncio.all_tasks()
    probe = asyncio.create_task(sign_in(uows))
    await facility.was_asked(SESSIONS, times=6)
    probe.cancel()
    ours = [task for task in asyncio.all_tasks() - before if "_watched" in repr(task)]

    async with asyncio.timeout(10):
        await uows.close()

    assert [task.done() for task in ours] == [True]
    with pytest.raises(asyncio.CancelledError):
        await probe


async def test_callers_who_lose_patience_open_the_breaker(uows: Uows, facility: Facility, clock: Clock) -> None:
    facility.fault = {SESSIONS: "hang"}
    callers = [asyncio.create_task(sign_in(uows)) for _ in range(8)]
    await facility.was_asked(SESSIONS, times=8)
    clock.advance(1)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    refusal = await assert_unavailable(uows)

    assert facility.hits[SESSIONS] == 8
    assert refusal.retry_after == timedelta(seconds=10)


async def test_patience_is_half_a_short_deadline(facility: Facility) -> None:
    uows = Uows(facility.url, api_key=UOWS_API_KEY, deadline=timedelta(milliseconds=400))
    facility.fault = {SESSIONS: "hang"}

    async def impatient() -> None:
        with pytest.raises((TimeoutError, ProviderUnavailable)):
            async with asyncio.timeout(0.3):
                await sign_in(uows)

    await asyncio.gather(*(impatient() for _ in range(5)))
    refusal = await assert_unavailable(uows)

    assert refusal.retry_after > timedelta(seconds=5)
    await uows.close()


ABOUT_ONE = (
    *((SESSIONS, mode) for mode in ("status 400", "status 403", "status 404", "status 429", "null", "answer {}")),
    *((DETAILS, mode) for mode in ("status 404", "null", "empty list", 'answer [{"displayName": ""}]')),
    *((ROLE, mode) for mode in ("status 404", "null", 'answer [{"name": null}]')),
)


@pytest.mark.parametrize(("path", "mode"), ABOUT_ONE)
async def test_what_is_wrong_with_one_person_does_not_keep_others_out(
    uows: Uows, facility: Facility, path: str, mode: str
) -> None:
    facility.fault = {path: mode}
    for _ in range(10):
        await assert_unavailable(uows)
    facility.fault = {}

    assert (await sign_in(uows)).user_number == 1001


@pytest.mark.parametrize("path", [SESSIONS, DETAILS, ROLE])
@pytest.mark.parametrize("mode", ["status 503", "html", "bad json", "nested", "redirect", "huge", "reset"])
async def test_what_is_no_answer_of_the_service_opens_the_breaker(
    uows: Uows, facility: Facility, path: str, mode: str
) -> None:
    facility.fault = {path: mode}
    for _ in range(6):
        refusal = await assert_unavailable(uows)

    assert facility.hits[SESSIONS] == 5
    assert refusal.retry_after == timedelta(seconds=10)


async def test_wrong_passwords_do_not_open_the_breaker(uows: Uows) -> None:
    for _ in range(10):
        with pytest.raises(BadCredentials):
            await uows.authenticate(username="user1001", password="wrong")

    assert (await sign_in(uows)).user_number == 1001


@pytest.mark.parametrize("mode", ["huge", "bomb"])
async def test_a_hundred_megabytes_are_not_kept(facility: Facility, mode: str) -> None:
    uows = Uows(
        facility.url, api_key=UOWS_API_KEY, deadline=timedelta(seconds=30), breaker=Breaker("UOWS", failures=99)
    )
    await sign_in(uows)
    facility.fault = {DETAILS: mode}

    await assert_unavailable(uows)
    tracemalloc.start()
    try:
        await asyncio.gather(*(assert_unavailable(uows) for _ in range(5)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 16 * 1024 * 1024
    await uows.close()


@pytest.mark.row("S61")
@pytest.mark.parametrize("path", [SESSIONS, DETAILS, ROLE])
@pytest.mark.parametrize("mode", [*RUBBISH, "wrong password", 'answer {"password": "user1001-password"}'])
async def test_the_password_leaves_no_trace(
    uows: Uows,
    facility: Facility,
    path: str,
    mode: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    name, password = "ada.lovelace", "Tr0ub4dor&3"
    facility.knows(name, "something else" if mode == "wrong password" else password, number=1815)
    facility.fault = {} if mode == "wrong password" else {path: mode.replace("user1001-password", password)}

    with pytest.raises(AuthError) as refusal:
        await uows.authenticate(username=name, password=password)

    printed = capsys.readouterr()
    traces = everything_in(refusal.value) + caplog.text + printed.out + printed.err
    assert password not in traces
    assert UOWS_API_KEY not in traces
    assert name not in traces
