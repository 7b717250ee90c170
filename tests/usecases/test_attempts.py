"""Attempts on one account, which wait for each other."""

import asyncio

from auth_service.domain.attempts import limits
from auth_service.domain.errors import Overloaded
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.usecases.attempts import Attempts
from tests.support.conditions import eventually
from tests.usecases.meanwhile import with_ada


async def test_what_there_was_no_time_to_judge_is_told_to_all_who_brought_the_same_password(sqlite_url: str) -> None:
    async with with_ada(sqlite_url) as (at, _, _):
        attempts = Attempts(
            at.database,
            tallies=LimitsInDatabase(at.database),
            limits=limits(here=4, account=6, address=30),
            clock=at.clock,
        )
        judged: list[str] = []
        too_much = asyncio.Event()

        async def tried(password: str) -> None:
            async with (await attempts.on_account("ada", address="192.0.2.1")).counted(password):
                judged.append(password)
                await too_much.wait()
                raise Overloaded("too much to do")

        crowd = [asyncio.create_task(tried("right")) for _ in range(5)]
        await eventually(lambda: judged == ["right"])
        too_much.set()
        outcomes = await asyncio.gather(*crowd, return_exceptions=True)

    assert [type(each) for each in outcomes] == [Overloaded] * 5
    assert judged == ["right"]
