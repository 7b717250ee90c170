"""The policy of a deployment, from a file that may change at any time."""

import asyncio
from pathlib import Path

import structlog
from auth_client.policy import NOTHING_ALLOWED, Policy
from auth_client.policy_json import LARGEST, PolicyRefused, policy_of

log = structlog.get_logger()

_Version = tuple[int, int, int]
"""When a file was written, which one it is, and how long."""


class PolicyFile:
    """`current` is the last good one; before `load`, and without a file, nobody is let in anywhere.

    `is_current` is False while the file holds something else than what is in force.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: _Version | None = None
        self.current: Policy = NOTHING_ALLOWED
        self.is_current = True

    async def load(self) -> None:
        """At the start, when there is no good one to go on with. Raises OSError, PolicyRefused."""
        if self._path is not None:
            self._seen = await asyncio.to_thread(_version, self._path)
            self.current = await asyncio.to_thread(read_policy, self._path)

    async def poll(self) -> None:
        """Take what the file holds now, if it changed, unless that is no policy."""
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
            log.error("policy.refused", file=str(self._path), problems=problems, in_force="the one before")
            return
        self.is_current = True
        log.info("policy.loaded", rules=len(self.current.rules), warnings=self.current.warnings())


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
