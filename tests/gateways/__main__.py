"""`python -m tests.gateways`: try every case at every gateway, print docs/gateways.md, say where it was otherwise."""

import asyncio
import sys
import tempfile
from pathlib import Path

from auth_service.storage import migrate
from tests.gateways.case import Case
from tests.gateways.cases import CASES
from tests.gateways.stage import Stage, stage
from tests.gateways.table import expected, page_of
from tests.support.gateways import RECIPES, why_not
from tests.support.service import captured_logs, running_stand_in


async def main() -> int:
    lacking = {why_not(recipe) for recipe in RECIPES.values()} - {""}
    if lacking:
        print("\n".join(sorted(lacking)), file=sys.stderr)
        return 2
    table: dict[str, dict[str, str]] = {case.name: {} for case in CASES}
    for name, recipe in RECIPES.items():
        with tempfile.TemporaryDirectory() as home, captured_logs():
            url = f"sqlite:///{home}/auth.sqlite3"
            await migrate.upgrade(url)
            async with (
                running_stand_in() as facility,
                stage(recipe, url, facility=facility, data_dir=Path(home)) as running,
            ):
                for case in CASES:
                    table[case.name][name] = await _told(case, running)
    print(page_of(table), end="")
    wrong = [
        f"{name}, {case}: {told} instead of {expected()[case][name]}"
        for case, row in table.items()
        for name, told in row.items()
        if told != expected()[case][name]
    ]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


async def _told(case: Case, running: Stage) -> str:
    try:
        return await case.play(running)
    except AssertionError as error:
        return f"wrong: {error}"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
