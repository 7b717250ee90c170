"""Two replicas on one database that poll so rarely that only being told can explain how fast they agree."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from auth_service.demo import Facility
from tests.support.conditions import eventually
from tests.support.service import Databases, Service, refusal, running_service


@pytest.fixture(name="replicas")
async def two_replicas(
    databases: Databases, facility: Facility, tmp_path: Path
) -> AsyncIterator[tuple[Service, Service]]:
    url = await databases.make("postgresql")
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                running_service(url, facility=facility, data_dir=tmp_path, poll_every="15s")
            )
            for _ in range(2)
        ]
        yield one, other


@pytest.mark.row("A22")
async def test_a_logout_on_one_replica_is_known_to_the_other_before_it_polls(
    replicas: tuple[Service, Service],
) -> None:
    one, other = replicas
    pair = await one.login()
    assert (await other.verify(pair.access_token)).session_id == pair.session_id

    await one.logout(pair.refresh_token)

    async def is_refused() -> bool:
        try:
            await other.verify(pair.access_token)
        except Exception:  # noqa: BLE001 -- which refusal it is, is asserted below
            return True
        return False

    await eventually(is_refused)
    assert (await refusal(other.verify(pair.access_token))).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
