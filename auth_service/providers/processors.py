"""How many processors there are for this process."""

import os
from math import inf
from pathlib import Path

_GROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processors(*, groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Those that it may run on, and no more than a container's limit allows it the time of; one at least.

    `groups` and `membership` are where Linux shows control groups of version 2. A limit that is not found is none.
    """
    may_run_on = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(may_run_on, _limit(groups, membership))))


def _limit(groups: Path, membership: Path) -> float:
    try:
        names = [line.removeprefix("0::/") for line in membership.read_text().splitlines() if line.startswith("0::/")]
    except OSError:
        return inf
    # What bounds a group bounds those within it. A container sees its own group as the root.
    folders = [folder for name in names for folder in (groups / name, *(groups / name).parents)]
    return min((_limit_of(folder) for folder in folders if folder.is_relative_to(groups)), default=inf)


def _limit_of(folder: Path) -> float:
    try:
        microseconds, period = (folder / "cpu.max").read_text().split()
        return inf if microseconds == "max" else int(microseconds) / int(period)
    except (OSError, ValueError):
        return inf
