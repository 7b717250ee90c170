"""Reads `policy.json`, and says of every place in it that is wrong what was expected there.

    {"levels": {"admin": 0, "staff": 500, "user": 1000},
     "rules": [{"public": true, "methods": ["GET"], "locations": ["/", "/assets/*"]},
               {"signed_in": true, "locations": ["/me"]},
               {"roles": ["staff"], "methods": ["GET"], "locations": ["/users/{id}"]},
               {"level": 100, "locations": ["/admin/*"]},
               {"scopes": ["experiments:read"], "locations": ["/api/experiments"]}]}

A rule lets in whom any of its members lets in. Without `methods` it is for all of them.
"""

from collections.abc import Iterable, Mapping

from .locations import pattern_of
from .policy import Policy, Rule
from .rights import Right
from .strict import json_object

LARGEST = 4 << 20
"""Bytes of a policy."""
WEAKEST_LEVEL = 1000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_RIGHTS = ("public", "signed_in", "roles", "scopes", "level")
_MOST_PROBLEMS = 20


class PolicyRefused(ValueError):
    """A file that is no policy. `problems` are lines of `where: what was expected`."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def policy_of(text: bytes) -> Policy:
    """The policy that `text` is. Raises PolicyRefused."""
    if len(text) > LARGEST:
        raise PolicyRefused(f"the file: expected at most {LARGEST} bytes")
    try:
        members = json_object(text)
    except ValueError as error:
        raise PolicyRefused(f"the file: expected a JSON object, each member once ({error})") from None
    reader = _Reader()
    levels = reader.levels(members.get("levels", {}))
    rules = reader.rules(members.get("rules"), levels)
    reader.nothing_else(members, ("levels", "rules"), where="the file")
    if reader.problems:
        raise PolicyRefused(*reader.problems[:_MOST_PROBLEMS])
    return Policy(rules, levels=levels)


class _Reader:
    """Reads members of a policy, and remembers what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def levels(self, given: object) -> dict[str, int]:
        if not isinstance(given, dict):
            self.problems.append('levels: expected an object such as {"admin": 0}')
            return {}
        for role, level in given.items():
            if type(level) is not int or not 0 <= level <= WEAKEST_LEVEL:
                self.problems.append(f"levels.{role}: expected 0 to {WEAKEST_LEVEL}")
        return given

    def rules(self, given: object, levels: Mapping[str, int]) -> list[Rule]:
        if not isinstance(given, list):
            self.problems.append("rules: expected a list")
            return []
        return [self._rule(number, each, levels) for number, each in enumerate(given)]

    def nothing_else(self, members: Mapping[str, object], known: Iterable[str], *, where: str) -> None:
        if unknown := sorted(members.keys() - set(known)):
            self.problems.append(f"{where}: expected {', '.join(known)} only, got {', '.join(map(repr, unknown))}")

    def _rule(self, number: int, given: object, levels: Mapping[str, int]) -> Rule:
        where = f"rules[{number}]"
        members: Mapping[str, object] = given if isinstance(given, dict) else {}
        self.nothing_else(members, (*_RIGHTS, "methods", "locations"), where=where)
        if not members.keys() & set(_RIGHTS):
            self.problems.append(f"{where}: expected one of {', '.join(_RIGHTS)}")
        right = Right(
            is_public=self._flag(members, "public", where),
            is_for_people=self._flag(members, "signed_in", where),
            roles=frozenset(self._words(members, "roles", where)),
            scopes=frozenset(self._words(members, "scopes", where)),
        )
        level = self._level(members, where, levels)
        methods = frozenset(self._methods(members, where)) if "methods" in members else None
        return Rule(number, right, level, methods, self._locations(members, where))

    def _flag(self, members: Mapping[str, object], name: str, where: str) -> bool:
        if members.get(name, True) is not True:
            self.problems.append(f"{where}.{name}: expected true, or nothing")
        return name in members

    def _words(self, members: Mapping[str, object], name: str, where: str) -> tuple[str, ...]:
        given = members.get(name)
        if name in members and not (
            isinstance(given, list) and given and all(isinstance(each, str) and each for each in given)
        ):
            self.problems.append(f"{where}.{name}: expected a list of one word at least")
            return ()
        return tuple(given) if isinstance(given, list) else ()

    def _level(self, members: Mapping[str, object], where: str, levels: Mapping[str, int]) -> int | None:
        given = members.get("level")
        if "level" not in members:
            return None
        if type(given) is not int or not 0 <= given <= WEAKEST_LEVEL:
            self.problems.append(f"{where}.level: expected 0 to {WEAKEST_LEVEL}")
            return None
        if not levels:
            self.problems.append(f"{where}.level: expected `levels` in the file, which say what roles are worth")
        return given

    def _methods(self, members: Mapping[str, object], where: str) -> tuple[str, ...]:
        given = self._words(members, "methods", where)
        if unknown := sorted(set(given) - set(_METHODS)):
            self.problems.append(
                f"{where}.methods: expected {', '.join(_METHODS)}, got {', '.join(map(repr, unknown))}"
            )
        # Whoever may read may ask what reading would bring.
        return (*given, *(["HEAD"] if "GET" in given else []))

    def _locations(self, members: Mapping[str, object], where: str) -> tuple[str, ...]:
        given = self._words(members, "locations", where)
        if "locations" not in members:
            self.problems.append(f"{where}.locations: expected a list of paths")
        good = []
        for number, each in enumerate(given):
            try:
                pattern_of(each)
                good.append(each)
            except ValueError as error:
                self.problems.append(f"{where}.locations[{number}]: {error}")
        return tuple(good)
