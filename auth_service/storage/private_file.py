"""A file for its owner alone: SQLite's, which holds sealed keys and password hashes."""

from pathlib import Path


class UnsafeFile(Exception):
    """The database file may be read by others."""


def make_private(path: Path) -> None:
    """Make the file if there is none, for its owner alone. Raises UnsafeFile if others may read the one there is."""
    path.touch(mode=0o600, exist_ok=True)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UnsafeFile(f"{path} has mode {mode:04o}, expected 0600: it holds sealed keys and password hashes")
