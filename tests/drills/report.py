"""What a drill found, as one line with its figures and PASS or FAIL."""

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

BYSTANDER_P99 = 0.25
"""Seconds: what somebody who has no part in it may notice at most, by the security bar. Short forms hold to this where
full ones hold to less: there a handful of calls decide, and one hiccup of the machine is a handful.
"""


@dataclass
class Findings:
    """Of one drill, on one database. `expect` what must hold, in the order in which it should be read."""

    drill: str
    form: str
    _said: list[str] = field(default_factory=list)
    _failed: list[str] = field(default_factory=list)

    def expect(self, said: str, holds: bool) -> None:
        self._said.append(said if holds else f">> {said} <<")
        if not holds:
            self._failed.append(said)

    def note(self, said: str) -> None:
        """A figure that nothing depends on."""
        self._said.append(said)

    @property
    def passed(self) -> bool:
        return not self._failed

    def __str__(self) -> str:
        return f"{self.drill} ({self.form}): {'; '.join(self._said)} - {'PASS' if self.passed else 'FAIL'}"


class Drill(Protocol):
    def __call__(self, *, full: bool) -> Awaitable[Sequence[Findings]]: ...


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 0.1 else f"{1000 * seconds:.0f} ms"


def conduct(name: str, drill: Drill, *, full: bool) -> tuple[list[Findings], float]:
    """Its findings, printed as they come, and how many seconds it took. A drill that breaks down has failed."""
    began = time.monotonic()
    # What the drill before left behind is swept now, and not while this one measures.
    gc.collect()
    # What the drill's own clients have to say of a service that is broken on purpose is no news.
    logging.disable(logging.WARNING)
    try:
        found = list(asyncio.run(_awaited(drill, full=full)))
    except Exception as error:  # noqa: BLE001 - the other drills go on, and this one has failed
        broken = Findings(name, "full" if full else "short")
        broken.expect(f"{type(error).__name__}: {str(error)[-3000:]}", holds=False)
        found = [broken]
    for each in found:
        print(each, flush=True)
    return found, time.monotonic() - began


def alone(name: str, drill: Drill) -> None:
    """Runs `drill` by itself; exits with 1 if it fails."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="as long and as often as the security bar asks")
    found, _ = conduct(name, drill, full=parser.parse_args().full)
    sys.exit(0 if all(each.passed for each in found) else 1)


async def _awaited(drill: Drill, *, full: bool) -> Sequence[Findings]:
    return await drill(full=full)
