"""What the pages offer of what there is to do. The methods decide; this only keeps no's from being offered."""

from collections.abc import Iterable
from typing import Any

ACTIVE, DISABLED, DELETED = 1, 2, 3
"""States, as the contract numbers them."""
STRONGEST = 0
FOLLOWING = frozenset({"staff", "user"})
"""Roles that nobody grants: they follow from what the facility says."""


def deeds(me: Any, person: Any) -> frozenset[str]:
    """What `me` may do to `person`, by the names of the pages."""
    if person.level < me.level:
        return frozenset()
    if person.state == DELETED:
        return frozenset({"purge"} if me.level == STRONGEST else ())
    is_local, is_other = person.provider == "local", person.user_id != me.user_id
    may_take = person.level > me.level and is_other
    found = {"grant", "sessions"}
    found |= {"edit"} if is_local or may_take else set()
    found |= {"password"} if is_local and may_take else set()
    found |= {"enable"} if person.state == DISABLED else {"disable"} if is_other else set()
    found |= {"delete"} if is_other else set()
    return frozenset(found)


def grantable(me: Any, roles: Iterable[Any]) -> list[Any]:
    """Of `roles`, strongest first: those that `me` may give and take."""
    return [each for each in roles if each.level > me.level and each.name not in FOLLOWING]
