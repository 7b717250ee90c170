"""Who may call which method: a table that you declare, and one rule. No I/O, and nothing of any stack."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import PermissionDenied
from .token import VerifiedToken

HEALTH = frozenset(f"/grpc.health.v1.Health/{method}" for method in ("Check", "List", "Watch"))
"""The methods of gRPC's health service, for `Rights(public=...)`."""
REFLECTION = frozenset(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")
)
"""The methods of gRPC's reflection service, for `Rights(public=...)`."""


@dataclass(frozen=True, slots=True)
class Right:
    """Who may: whoever any of these lets in. `a | b` lets in whom `a` or `b` does."""

    is_public: bool = False
    is_for_people: bool = False
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    def __or__(self, other: "Right") -> "Right":
        return Right(
            self.is_public or other.is_public,
            self.is_for_people or other.is_for_people,
            self.roles | other.roles,
            self.scopes | other.scopes,
        )

    def admits(self, caller: VerifiedToken) -> bool:
        return (
            self.is_public
            or (self.is_for_people and _is_person(caller))
            or not self.roles.isdisjoint(caller.roles)
            or not self.scopes.isdisjoint(caller.scopes)
        )

    def check(self, caller: VerifiedToken) -> None:
        """Raises PermissionDenied, saying who may."""
        if not self.admits(caller):
            raise PermissionDenied(self.expectation)

    @property
    def expectation(self) -> str:
        """Who may, in words, for whoever may not."""
        who = [
            *(["a person who is signed in"] if self.is_for_people else []),
            *(f"a person with the role `{role}`" for role in sorted(self.roles)),
            *(f"a service whose key has the scope `{scope}`" for scope in sorted(self.scopes)),
        ]
        return f"expected {' or '.join(who) or 'nobody'}"


PUBLIC = Right(is_public=True)
"""Anybody, without saying who they are: no token is looked at."""
SIGNED_IN = Right(is_for_people=True)
"""Every person with a good token. A service needs a scope."""
NOBODY = Right()


def role(*names: str) -> Right:
    """People with one of these roles in their token."""
    return Right(roles=_all_named(names))


def scope(*names: str) -> Right:
    """Services whose token has one of these scopes."""
    return Right(scopes=_all_named(names))


class Rights:
    """The table of a gRPC server: who may call a method, by its full name, as in `/facility.v1.Scans/Start`.

    A method without a row is refused to everybody, and so is every method of health and reflection unless you name it
    in `public`. Raises ValueError for a name that no method can have, since its row would guard nothing.
    """

    def __init__(self, rights: Mapping[str, Right], *, public: Iterable[str] = ()) -> None:
        self._rights = {**dict.fromkeys(public, PUBLIC), **rights}
        for method in self._rights:
            if method.count("/") != 2 or not method.startswith("/"):
                raise ValueError(f"{method}: expected a method's full name, as in /facility.v1.Scans/Start")

    def __getitem__(self, method: str) -> Right:
        return self._rights.get(method, NOBODY)


def _all_named(names: tuple[str, ...]) -> frozenset[str]:
    if not names or not all(names):
        raise ValueError("expected one name at least, and none empty")
    return frozenset(names)


def _is_person(caller: VerifiedToken) -> bool:
    # A person always has a role, `user` at least. A service has scopes instead.
    return bool(caller.roles) and not caller.scopes
