"""`python -m tests.pages.screenshots FOLDER [WORD]`: every page, small and large, light and dark, as PNG files.

With a WORD only those whose name has it. The folder is outside the repository, for somebody to look at.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from auth_service.storage import migrate
from tests.pages.browser import PASSWORD
from tests.pages.chromium import SIZES, THEMES, chromium, sign_in, watched
from tests.pages.tour import (
    GRACE,
    OF_SOMEBODY_NEW,
    OF_THE_FACILITY,
    OPERATING,
    PUBLIC,
    SIGNED_IN,
    arrive,
    furnished,
    operated,
)
from tests.support.service import ADMIN, running_service, running_stand_in

VISITS = (
    ("", "", PUBLIC),
    (ADMIN, PASSWORD, (*SIGNED_IN, *OPERATING)),
    (GRACE, PASSWORD, OF_SOMEBODY_NEW),
    ("user1001", "user1001-password", OF_THE_FACILITY),
)


async def main(folder: Path, word: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        url = f"sqlite:///{home}/service.db"
        await migrate.upgrade(url)
        async with (
            running_stand_in() as facility,
            running_service(url, facility=facility, data_dir=Path(home), log_level="error") as service,
            chromium() as browser,
        ):
            ids = {**await furnished(service), **await operated(service)}
            for size in SIZES:
                for theme in THEMES:
                    async with watched(browser, f"http://{service.where.http}", size=size, theme=theme) as tab:
                        for name, password, stops in VISITS:
                            if name:
                                await sign_in(tab, name, password)
                            for stop in (each for each in stops if word in each.name):
                                await arrive(tab, stop, ids)
                                picture = folder / f"{stop.name}-{size}-{theme}.png"
                                await tab.page.screenshot(path=picture, full_page=True)
                        print(size, theme, tab.complaints, tab.hosts)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
