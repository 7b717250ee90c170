"""`python -m bench.without`: the service as `serve` starts it, but nothing is audited, counted or limited.

What `bench.limits` compares with. No deployment can be had like this, so there is no setting for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from auth_service.cli.serving import serve
from auth_service.storage import arrivals, audit
from auth_service.storage.database import Statement
from auth_service.usecases.attempts import Attempts


class _Uncounted:
    @asynccontextmanager
    async def counted(self, secret: str = "") -> AsyncIterator[None]:
        yield


async def _untold(*_: Any) -> None:
    return None


async def _unlimited(*_: Any, **__: Any) -> _Uncounted:
    return _Uncounted()


if __name__ == "__main__":
    audit.add = _untold  # type: ignore[assignment]  # that is what this module is for
    # A sign-in through the facility writes its event in the statement that writes all else.
    arrivals._chain = Statement(sa.select(arrivals._person).add_cte(arrivals._begun))
    Attempts.on_account = _unlimited  # type: ignore[method-assign, assignment]  # likewise
    serve()
