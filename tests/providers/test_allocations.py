"""Proposal Allocations over a real socket and against a real GraphQL schema."""

import asyncio
import subprocess
import sys
import tracemalloc
from datetime import timedelta

import pytest

from auth_service.demo import Facility, running_facility
from auth_service.domain.errors import ProviderUnavailable
from auth_service.domain.people import Experiments
from auth_service.providers.allocations import Allocations
from auth_service.providers.breaker import Breaker
from auth_service.providers.uows import Uows
from tests.providers.clock import Clock
from tests.providers.conftest import ALLOCATIONS_TOKEN
from tests.providers.leaks import chain_of, everything_in
from tests.support.ports import port_of, reserve_port

GRAPHQL = "/graphql"
RUBBISH = (
    *("status 204", "status 400", "status 401", "status 404", "status 500", "status 503"),
    *("reset", "html", "bad json", "nested", "null", "redirect", "huge", "bomb", "graphql errors"),
    *("answer ", "answer 5", "answer null", "answer []", 'answer ["errors"]', 'answer ["data"]', "answer {}"),
    *('answer {"data": null}', 'answer {"data": []}', 'answer {"data": {}}', 'answer {"data": {"proposals": {}}}'),
    *('answer {"errors": 5}', 'answer {"errors": "x"}', 'answer {"errors": [{}], "data": {"proposals": []}}'),
)


async def assert_unavailable(allocations: Allocations, user_number: int = 1001) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as refusal:
        await allocations.of(user_number)
    return refusal.value


def test_it_is_experiments() -> None:
    experiments: Experiments = Allocations("http://127.0.0.1", token="")

    assert experiments


@pytest.mark.row("A14")
async def test_reference_numbers_become_integers(allocations: Allocations) -> None:
    assert await allocations.of(1002) == (9723, 1620354)


@pytest.mark.row("A14")
async def test_no_experiments_is_an_answer(allocations: Allocations) -> None:
    assert await allocations.of(1003) == ()
    assert await allocations.of(4_000_000) == ()


async def test_each_once_and_in_order(allocations: Allocations, facility: Facility) -> None:
    facility.knows("ada", "", number=7, experiments=[3, 1, "2", 3, "0001"])

    assert await allocations.of(7) == (1, 2, 3)


async def test_only_the_facilities_asked_for(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, facilities=['CL"F', "Diamond"])

    assert await allocations.of(1001) == ()
    await allocations.close()


async def test_one_request_per_answer_and_none_for_the_schema(allocations: Allocations, facility: Facility) -> None:
    await allocations.of(1001)
    await allocations.of(1002)

    assert facility.hits == {GRAPHQL: 2}


@pytest.mark.parametrize("mode", RUBBISH)
async def test_rubbish_is_no_answer(allocations: Allocations, facility: Facility, mode: str) -> None:
    facility.fault = {GRAPHQL: mode}

    refusal = await assert_unavailable(allocations)

    assert chain_of(refusal) == [refusal]
    assert facility.hits["/elsewhere"] == 0

    facility.fault = {}
    assert await allocations.of(1001) == (2200081, 2200082, 2200083)


@pytest.mark.parametrize(
    "number", ["null", "true", "1.5", "-1", "0", '""', '"RB1"', '"１２"', '"1e5"', '"1' + "0" * 40 + '"']
)
async def test_a_reference_number_that_is_none_spoils_the_answer(
    allocations: Allocations, facility: Facility, number: str
) -> None:
    proposals = f'[{{"referenceNumber": "9723"}}, {{"referenceNumber": {number}}}]'
    facility.fault = {GRAPHQL: f'answer {{"data": {{"proposals": {proposals}}}}}'}

    await assert_unavailable(allocations)


@pytest.mark.parametrize("proposal", ["null", "5", "[]", "{}", '"9723"'])
async def test_a_proposal_that_is_none_spoils_the_answer(
    allocations: Allocations, facility: Facility, proposal: str
) -> None:
    facility.fault = {GRAPHQL: f'answer {{"data": {{"proposals": [{proposal}]}}}}'}

    await assert_unavailable(allocations)


async def test_a_wrong_token_is_unavailable(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token="another")

    await assert_unavailable(allocations)
    await allocations.close()


@pytest.mark.row("A14")
async def test_the_header_is_a_setting(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, header="Authorization")

    await assert_unavailable(allocations)
    await allocations.close()


async def test_a_hanging_answer_ends_with_the_deadline(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, deadline=timedelta(milliseconds=300))
    facility.fault = {GRAPHQL: "hang"}

    refusal = await assert_unavailable(allocations)

    assert str(refusal) == "Proposal Allocations did not answer in time"
    await allocations.close()


async def test_a_broken_connection_is_tried_twice_and_no_more(allocations: Allocations, facility: Facility) -> None:
    facility.fault = {GRAPHQL: "reset"}

    await assert_unavailable(allocations)

    assert facility.hits[GRAPHQL] == 2


async def test_allocations_may_restart(clock: Clock) -> None:
    with reserve_port() as held:
        async with running_facility(port=port_of(held)) as facility:
            allocations = Allocations(f"{facility.url}/graphql", token="", clock=clock)
            await allocations.of(1001)
        await assert_unavailable(allocations, 1002)
        async with running_facility(port=port_of(held)):
            assert await allocations.of(1002) == (9723, 1620354)
    await allocations.close()


async def test_many_people_at_once_get_their_own(allocations: Allocations, facility: Facility) -> None:
    for number in range(2000, 2100):
        facility.knows(f"user{number}", "", number=number, experiments=[number * 10])

    answers = await asyncio.gather(*(allocations.of(number) for number in range(2000, 2100)))

    assert answers == [(number * 10,) for number in range(2000, 2100)]


async def test_connections_are_bounded(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, connections=3)
    facility.fault = {GRAPHQL: "hang"}

    async with asyncio.TaskGroup() as crowd:
        for number in range(1, 21):
            crowd.create_task(allocations.of(number))
        await facility.was_asked(GRAPHQL, times=3)
        facility.fault = {}

    assert facility.busiest == 3
    await allocations.close()


async def test_an_answer_is_kept_for_half_a_minute(allocations: Allocations, facility: Facility, clock: Clock) -> None:
    await allocations.of(1001)
    facility.knows("user1001", "", number=1001, experiments=[5])
    clock.advance(29.9)

    assert await allocations.of(1001) == (2200081, 2200082, 2200083)

    clock.advance(0.1)

    assert await allocations.of(1001) == (5,)


async def test_failures_are_not_kept(allocations: Allocations, facility: Facility) -> None:
    facility.fault = {GRAPHQL: "status 500"}
    await assert_unavailable(allocations)
    facility.fault = {}

    assert await allocations.of(1001)


async def test_only_so_many_people_are_kept(facility: Facility, clock: Clock) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, remember_people=2, clock=clock)
    for number in (1001, 1002, 1003):
        await allocations.of(number)

    await allocations.of(1003)
    await allocations.of(1002)
    assert facility.hits[GRAPHQL] == 3

    await allocations.of(1001)
    assert facility.hits[GRAPHQL] == 4
    await allocations.close()


async def test_a_crowd_asking_for_one_person_is_one_question(allocations: Allocations, facility: Facility) -> None:
    facility.fault = {GRAPHQL: "hang"}
    crowd = [asyncio.create_task(allocations.of(1001)) for _ in range(50)]
    await facility.was_asked(GRAPHQL)
    facility.fault = {}

    assert set(await asyncio.gather(*crowd)) == {(2200081, 2200082, 2200083)}
    assert facility.hits[GRAPHQL] == 1


async def test_the_first_asker_may_leave_without_harm_to_the_others(
    allocations: Allocations, facility: Facility
) -> None:
    facility.fault = {GRAPHQL: "hang"}
    first, second = (asyncio.create_task(allocations.of(1001)) for _ in range(2))
    await facility.was_asked(GRAPHQL)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    facility.fault = {}

    assert await second == (2200081, 2200082, 2200083)
    assert facility.hits[GRAPHQL] == 1


async def test_when_everybody_left_the_question_is_dropped(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN, connections=1)
    facility.fault = {GRAPHQL: "hang"}
    only = asyncio.create_task(allocations.of(1001))
    await facility.was_asked(GRAPHQL)

    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    facility.fault = {}

    assert await allocations.of(1002) == (9723, 1620354)
    assert await allocations.of(1001) == (2200081, 2200082, 2200083)
    await allocations.close()


async def test_it_has_a_breaker_of_its_own(
    allocations: Allocations, uows: Uows, facility: Facility, clock: Clock
) -> None:
    facility.fault = {GRAPHQL: "status 500"}
    for number in range(1, 8):
        await assert_unavailable(allocations, number)

    assert facility.hits[GRAPHQL] == 5
    assert await uows.authenticate(username="user1001", password="user1001-password")

    clock.advance(10)
    facility.fault = {}
    assert await allocations.of(1001)


@pytest.mark.parametrize("mode", ["graphql errors", "null", "status 400", 'answer {"data": null}'])
async def test_what_is_wrong_with_one_person_does_not_keep_others_from_asking(
    allocations: Allocations, facility: Facility, mode: str
) -> None:
    facility.fault = {GRAPHQL: mode}
    for _ in range(10):
        await assert_unavailable(allocations)
    facility.fault = {}

    assert await allocations.of(1002) == (9723, 1620354)


@pytest.mark.parametrize("mode", ["status 503", "html", "bad json", "nested", "redirect", "huge", "answer 5"])
async def test_what_is_no_answer_of_the_service_opens_the_breaker(
    allocations: Allocations, facility: Facility, mode: str
) -> None:
    facility.fault = {GRAPHQL: mode}
    for _ in range(6):
        refusal = await assert_unavailable(allocations)

    assert facility.hits[GRAPHQL] == 5
    assert refusal.retry_after == timedelta(seconds=10)


async def test_a_hanging_uows_does_not_slow_it_down(allocations: Allocations, uows: Uows, facility: Facility) -> None:
    facility.fault = {"/v1": "hang"}
    stuck = [asyncio.create_task(uows.authenticate(username="user1001", password="x")) for _ in range(200)]
    await facility.was_asked("/v1/sessions", times=100)

    assert await allocations.of(1001) == (2200081, 2200082, 2200083)
    assert not any(task.done() for task in stuck)

    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


async def test_hanging_allocations_do_not_slow_uows_down(
    allocations: Allocations, uows: Uows, facility: Facility
) -> None:
    facility.fault = {GRAPHQL: "hang"}
    stuck = [asyncio.create_task(allocations.of(number)) for number in range(1, 201)]
    await facility.was_asked(GRAPHQL, times=100)

    assert (await uows.authenticate(username="user1001", password="user1001-password")).user_number == 1001
    assert not any(task.done() for task in stuck)

    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


@pytest.mark.parametrize("mode", ["huge", "bomb"])
async def test_a_hundred_megabytes_are_not_kept(facility: Facility, mode: str) -> None:
    allocations = Allocations(
        f"{facility.url}/graphql",
        token=ALLOCATIONS_TOKEN,
        deadline=timedelta(seconds=30),
        breaker=Breaker("Proposal Allocations", failures=99),
    )
    facility.fault = {GRAPHQL: mode}

    await assert_unavailable(allocations)
    tracemalloc.start()
    try:
        await asyncio.gather(*(assert_unavailable(allocations, number) for number in range(1, 6)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 16 * 1024 * 1024
    await allocations.close()


@pytest.mark.parametrize("mode", ["none", *RUBBISH])
async def test_neither_token_nor_answer_leaves_a_trace(
    allocations: Allocations,
    facility: Facility,
    mode: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    facility.fault = {} if mode == "none" else {GRAPHQL: mode}

    traces = ""
    try:
        await allocations.of(1001)
    except ProviderUnavailable as refusal:
        traces = everything_in(refusal)

    printed = capsys.readouterr()
    traces += caplog.text + printed.out + printed.err
    assert ALLOCATIONS_TOKEN not in traces
    assert "secret of the database" not in traces
    assert "Down for maintenance" not in traces
    assert "2200081" not in traces


def test_gql_is_imported_by_those_who_ask_graphql_only() -> None:
    probe = "import sys, auth_service.providers.allocations; sys.exit('gql' in sys.modules or 'graphql' in sys.modules)"

    subprocess.run([sys.executable, "-c", probe], check=True)


async def test_closing_ends_the_questions_under_way(facility: Facility) -> None:
    allocations = Allocations(f"{facility.url}/graphql", token=ALLOCATIONS_TOKEN)
    facility.fault = {GRAPHQL: "hang"}
    asking = asyncio.create_task(allocations.of(1001))
    await facility.was_asked(GRAPHQL)

    await allocations.close()

    with pytest.raises(asyncio.CancelledError):
        await asking
