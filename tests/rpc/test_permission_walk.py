"""Every method x every caller, on a running service: the answers are those of the declarations, and of the docs."""

from pathlib import Path

import pytest

from auth_service.domain.policy import Right
from auth_service.rpc.permissions import PERMISSIONS
from tests.permission_walk import NAMED, Verdict, page_of, walk
from tests.rpc.conftest import Start

DOCS = Path(__file__).parents[2] / "docs" / "permissions.md"
STRANGERS = frozenset({"nobody", "garbage", "a refresh token", "a forged token", "an ended session", "a revoked key"})


def declared(right: Right, who: str) -> Verdict:
    """What a method's declaration says to a caller, in the simplest words."""
    if right.is_public:
        return "yes"
    if who in STRANGERS:
        return "who?"
    if who.startswith("service, "):
        return "yes" if right.scope == who.removeprefix("service, ") else "no"
    may = {
        NAMED: right.is_for_signed_in or right.self_field != "",
        "another person": right.is_for_signed_in,
        "staff": right.is_for_signed_in or "staff" in right.roles,
        "level 100": right.is_for_signed_in or (right.level is not None and right.level >= 100),
        "administrator": right.is_for_signed_in or right.level is not None,
    }
    return "yes" if may[who] else "no"


@pytest.mark.row("B2", "E11", "S62", "S63")
async def test_every_method_answers_every_caller_as_it_declares_and_as_the_docs_say(start: Start) -> None:
    table = await walk(await start(rate_limits="none"))

    ours = {path.removeprefix("/auth_api.v1."): right for path, right in PERMISSIONS.items() if "auth_api" in path}
    assert table == {
        path.replace("/", "."): {who: declared(right, who) for who in next(iter(table.values()))}
        for path, right in ours.items()
    }
    assert page_of(table) == DOCS.read_text(encoding="utf-8"), "make permissions > docs/permissions.md"
