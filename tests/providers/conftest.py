"""The real clients, and the stand-in facility at the far side of the wire."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from auth_service.demo import Facility, running_facility
from auth_service.providers.allocations import Allocations
from auth_service.providers.breaker import Breaker
from auth_service.providers.uows import Uows
from tests.providers.clock import Clock

UOWS_API_KEY = "key-of-uows"
ALLOCATIONS_TOKEN = "token-of-allocations"


@pytest.fixture
async def facility() -> AsyncIterator[Facility]:
    async with running_facility(uows_api_key=UOWS_API_KEY, allocations_token=ALLOCATIONS_TOKEN) as facility:
        yield facility


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def uows(facility: Facility, clock: Clock) -> AsyncIterator[Uows]:
    uows = Uows(
        facility.url, api_key=UOWS_API_KEY, deadline=timedelta(seconds=30), breaker=Breaker("UOWS", clock=clock)
    )
    yield uows
    await uows.close()


@pytest.fixture
async def allocations(facility: Facility, clock: Clock) -> AsyncIterator[Allocations]:
    allocations = Allocations(
        f"{facility.url}/graphql",
        token=ALLOCATIONS_TOKEN,
        deadline=timedelta(seconds=30),
        breaker=Breaker("Proposal Allocations", clock=clock),
        clock=clock,
    )
    yield allocations
    await allocations.close()
