"""Each case at each gateway; see `cases`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth_service.demo import Facility
from tests.gateways.case import Case
from tests.gateways.cases import CASES
from tests.gateways.stage import Stage, stage
from tests.gateways.table import expected, page_of
from tests.support.gateways import RECIPES, why_not
from tests.support.service import Databases


@pytest.fixture(scope="module", params=RECIPES)
async def staged(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    recipe = RECIPES[request.param]
    if reason := why_not(recipe):
        pytest.skip(reason)
    url = await databases.make("sqlite")
    async with stage(recipe, url, facility=facility, data_dir=tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.row("D9")
@pytest.mark.parametrize(
    "each", [pytest.param(each, marks=pytest.mark.row(*each.rows), id=each.name) for each in CASES]
)
async def test_every_case_at_every_gateway(staged: Stage, each: Case) -> None:
    assert await each.play(staged) == each.expected_of(staged.gateway.recipe.name)


def test_the_page_tells_what_is_held_here() -> None:
    page = Path(__file__).parents[2] / "docs" / "gateways.md"

    assert page.read_text() == page_of(expected()), "python -m tests.gateways > docs/gateways.md"
