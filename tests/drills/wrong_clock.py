"""Wall clocks that are wrong, for single processes: `wrong_clock.c`, preloaded. Needs a C compiler."""

import asyncio
import os
import shutil
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")


def compiler() -> str | None:
    return shutil.which("cc")


async def build(folder: Path) -> Path:
    """The library to preload, in `folder`. Raises RuntimeError with what the compiler said."""
    library, command = folder / "wrong_clock.so", compiler() or "cc"
    process = await asyncio.create_subprocess_exec(
        *(command, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{command}: {said.decode()}")
    return library


class WrongClock:
    """Of the processes that have `environment`: `by` seconds ahead of this machine's, or behind."""

    def __init__(self, library: Path, file: Path, *, by: int) -> None:
        self._library, self._file = library, file
        file.touch()
        self.by = by

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "WRONG_CLOCK": str(self._file)}

    @property
    def by(self) -> int:
        return int.from_bytes(self._file.read_bytes(), "little", signed=True)

    @by.setter
    def by(self, seconds: int) -> None:
        # In place: the processes have it mapped.
        file = os.open(self._file, os.O_WRONLY)
        try:
            os.pwrite(file, seconds.to_bytes(8, "little", signed=True), 0)
        finally:
            os.close(file)
