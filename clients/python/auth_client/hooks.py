"""What a program may listen to, for its metrics: verdicts, fetches, streams. A listener that fails harms nothing."""

import logging
from collections.abc import Callable
from typing import TypeVar

_Said = TypeVar("_Said")
_log = logging.getLogger("auth_client")


def tell(listener: Callable[[_Said], object] | None, said: _Said) -> None:
    """Called in the thread or task in which it happens, so a listener must be quick."""
    if listener is None:
        return
    try:
        listener(said)
    except Exception:  # noqa: BLE001 - It is the program's own, and no verdict may depend on it.
        _log.exception("a listener failed")
