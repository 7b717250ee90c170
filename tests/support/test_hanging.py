"""A test that hangs says what it waits for."""

import asyncio

from tests.support.hanging import where_tasks_stand


async def test_a_task_is_told_with_all_that_it_waits_in() -> None:
    never = asyncio.Event()

    async def listens() -> None:
        await never.wait()

    async def follows() -> None:
        await listens()

    task = asyncio.create_task(follows(), name="a follower")
    await asyncio.sleep(0)

    (told,) = [each.splitlines() for each in where_tasks_stand().split("\n\n") if each.startswith("a follower")]

    assert [line.split(".")[-1] for line in told[1:]] == ["follows", "listens", "wait"]
    assert f"{__file__}:" in told[1]
    task.cancel()


async def test_a_task_that_is_done_is_not_told() -> None:
    async def nothing() -> None:
        return

    await asyncio.create_task(nothing(), name="soon done")

    assert "soon done" not in where_tasks_stand()
