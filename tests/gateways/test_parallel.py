"""A page with fifty pictures whose access cookie is over: fifty requests at once, through gateways and straight."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from auth_service.demo import Facility
from auth_service.storage import schema
from tests.gateways.stage import Stage, cookie, stage
from tests.support.gateways import RECIPES, why_not
from tests.support.raw_http import Reply, send
from tests.support.service import Databases
from tests.support.sql import executed

AT_ONCE = 50
ASKING = [name for name in RECIPES if name != "Envoy, jwt_authn"]


async def straight(staged: Stage, target: str, *headers: tuple[str, str]) -> Reply:
    told = (("X-Original-Method", "GET"), ("X-Original-URI", target))
    return await send(str(staged.service.where.http), "/authz", headers=[*told, *headers])


async def generations(staged: Stage) -> dict[str, int]:
    """Of every session, by id."""
    rows = await executed(staged.service.settings.database, sa.select(schema.session.c.id, schema.session.c.generation))
    return {str(session): generation for session, generation in rows}


@pytest.mark.row("D2", "D4", "S36")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("name", ASKING)
async def test_fifty_at_once_with_one_access_cookie_that_is_over_all_pass_and_take_one_step(
    name: str, kind: str, databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    if reason := why_not(RECIPES[name]):
        pytest.skip(reason)
    async with stage(RECIPES[name], await databases.make(kind), facility=facility, data_dir=tmp_path) as staged:
        for ask in (staged.ask, lambda target, *more: straight(staged, target, *more)):
            held = await staged.browser_after_a_while()
            before = await generations(staged)

            replies = await asyncio.gather(*(ask(f"/me/{number}", cookie(held)) for number in range(AT_ONCE)))

            after = await generations(staged)
            assert [reply.status for reply in replies] == [200] * AT_ONCE
            assert sorted(after[each] - before[each] for each in before) == [*[0] * (len(before) - 1), 1]
            assert {reply.cookies["refresh_token"] for reply in replies} != {held["refresh_token"]}
            assert len({reply.cookies["refresh_token"] for reply in replies}) == 1
            assert (await ask("/me/x", cookie(replies[0].cookies))).status == 200
