"""Child processes that cannot outlive this one, and that never run as root when they are database servers.

Linux only: it rests on PR_SET_PDEATHSIG.
"""

import functools
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_LEASHED_EXEC = Path(__file__).with_name("leashed_exec.py")


class Unreachable(Exception):
    """The account a server must run as cannot get into a directory that the server needs."""


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """Whom a database server runs as: None means as ourselves; root steps down to `postgres`, else to `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise Unreachable("database servers refuse to run as root, and there is neither a postgres nor a nobody account")


def require_reachable(folder: Path, account: Account | None) -> None:
    """Raises Unreachable, naming the first directory on the way to `folder` that is closed to `account`."""
    if account is None:
        return
    folder = folder.resolve()
    for directory in (*reversed(folder.parents), folder):
        if not _may_enter(directory.stat(), account):
            raise Unreachable(
                f"{directory} is closed to user {account.name!r}, who runs the server and needs {folder}: "
                f"chmod o+rx {directory}, or put {folder} elsewhere (TMPDIR, TEST_PG_BIN, another virtualenv)"
            )


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str],
    account: Account | None = None,
    dying_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` (an absolute path first), its output appended to `log`; it gets `dying_signal` when we die.

    May be called from any thread. The child leads its own process group, so that a Ctrl-C reaches only us.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    leash = [sys.executable, "-I", "-S", str(_LEASHED_EXEC), *map(str, (os.getpid(), dying_signal.value, uid, gid))]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [*leash, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=dict(environment),
                # Not a session: the kernel may share the cores out by session first (autogroup), and a thread that
                # steps back would do so for nobody outside its own.
                process_group=0,
            )

    return _launcher(os.getpid()).submit(start).result()


@functools.cache
def _launcher(pid: int) -> ThreadPoolExecutor:
    # PR_SET_PDEATHSIG fires when the *thread* that forked ends, so one that lives until the interpreter exits does it.
    # Keyed by process, for threads do not survive a fork.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"leash-{pid}")
