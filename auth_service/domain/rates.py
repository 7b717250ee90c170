"""How often a method may be called, or a route asked: in each window of time, from one address or by everybody."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

ALL_METHODS = "*"
EVERYBODY = "all:"
_NOT_MEANT_BY_ALL = frozenset({"Verify", "GetJwks", "GetServerInfo"})
"""Asked by other services on behalf of everybody, at any rate, and answered from memory."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`calls` of `method` in each window of `per`; `ALL_METHODS` counts what strangers make us work for, together."""

    method: str
    calls: int
    per: timedelta
    by_address: bool

    def __str__(self) -> str:
        return f"{'' if self.by_address else EVERYBODY}{self.method}={self.calls}/{self.per}"

    @property
    def is_of_route(self) -> bool:
        """Not of a method: its name is the path of a route such as `/authz`."""
        return self.method.startswith("/")

    def covers(self, method: str) -> bool:
        """`method` is a full name such as `/auth_api.v1.AuthService/Login`, or a route's path."""
        if self.is_of_route:
            return self.method == method
        service, _, name = method.strip("/").rpartition("/")
        if self.method == ALL_METHODS:
            return service.startswith("auth_api.") and name not in _NOT_MEANT_BY_ALL
        return self.method in (name, f"{service.rpartition('.')[2]}/{name}")


@dataclass(frozen=True, slots=True)
class Counted:
    """The calls of one window on this replica. `key` stands for the rate and whoever is counted."""

    key: bytes
    window: int
    ends_at: datetime
    here: int
    told: int
    """Of `here`: the others know of those already."""


class CallCounts(Protocol):
    """What all replicas share. Raises DatabaseUnavailable."""

    async def share(self, counted: Sequence[Counted], *, now: datetime, heard: Callable[[Counted, int], None]) -> None:
        """Tell the others of each, and call `heard` with what all replicas counted together, as soon as it is told."""
        ...


def rate(what: str, *, calls: int, per: timedelta) -> Rate:
    """`what` is a method's name, `*`, or one of them after `all:`, which counts everybody's calls together."""
    return Rate(what.removeprefix(EVERYBODY), calls, per, by_address=not what.startswith(EVERYBODY))


def of_nothing(rates: Iterable[Rate], methods: Iterable[str]) -> list[str]:
    """The methods that rates name and nobody serves."""
    served = tuple(methods)
    return [each.method for each in rates if not any(each.covers(method) for method in served)]
