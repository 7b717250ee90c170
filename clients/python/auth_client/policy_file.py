"""A policy in a file that may change at any time."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from .hooks import tell
from .policy import NOTHING_ALLOWED, Policy
from .policy_json import LARGEST, PolicyRefused, policy_of

_log = logging.getLogger("auth_client")
_Version = tuple[int, int, int]
"""When a file was written, which one it is, and how long."""


class PolicyFile:
    """`current` is the last good one; before `load`, and without a file, nobody is let in anywhere.

    `load` at the start, then `poll` every second or so. `on_loaded` hears of each new policy, `on_refused` of what is
    wrong with a file that is none, once for each version of it.
    """

    def __init__(
        self,
        path: Path | str | None,
        *,
        on_loaded: Callable[[Policy], object] | None = None,
        on_refused: Callable[[tuple[str, ...]], object] | None = None,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._on_loaded = on_loaded
        self._on_refused = on_refused
        self._seen: _Version | None = None
        self.current: Policy = NOTHING_ALLOWED
        self.is_current = True
        """False while the file holds something else than what is in force."""

    def load(self) -> None:
        """At the start, when there is no good one to go on with; blocks. Raises OSError, PolicyRefused."""
        if self._path is not None:
            self._seen = _version(self._path)
            self.current = read_policy(self._path)

    async def poll(self) -> None:
        """Take what the file holds now, if it changed, unless that is no policy. The reading is done in a thread."""
        if self._path is None:
            return
        # The version first: what is written meanwhile is another one, and is seen at the next turn.
        version = await asyncio.to_thread(_version, self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self.current = await asyncio.to_thread(read_policy, self._path)
        except (OSError, PolicyRefused) as error:
            self.is_current = False
            problems = error.problems if isinstance(error, PolicyRefused) else (f"cannot be read: {error.strerror}",)
            _log.info("a policy was refused, the one before stays in force: %s", "; ".join(problems))
            tell(self._on_refused, problems)
            return
        self.is_current = True
        tell(self._on_loaded, self.current)


def read_policy(path: Path) -> Policy:
    """Raises OSError, PolicyRefused."""
    with path.open("rb") as file:
        return policy_of(file.read(LARGEST + 1))


def _version(path: Path) -> _Version | None:
    """None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
