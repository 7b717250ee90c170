"""Who may do what where, for gateways and applications alike: rules that name locations. `policy_json` reads them.

A rule only ever lets in; whom no rule lets in stays out, and the order of rules means nothing. No I/O here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .locations import ANYTHING_BELOW, Ambiguous, pattern_of, segments_of
from .rights import Right
from .token import VerifiedToken


class Verdict(Enum):
    ADMITTED = "admitted"
    NOT_SIGNED_IN = "not signed in"
    """Not for everybody, and nobody says who asks."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever asks. `level` is None for a service, and for roles that the policy gives none."""

    is_person: bool
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` is its place in the file, from 0. `methods` is None for all."""

    number: int
    right: Right
    level: int | None
    methods: frozenset[str] | None
    locations: tuple[str, ...] = field(repr=False)

    def covers(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def admits(self, holder: Holder | None) -> bool:
        """Whether it lets in `holder`, who is None if nobody knows who asks."""
        right = self.right
        if right.is_public or holder is None:
            return right.is_public
        return (
            (right.is_for_people and holder.is_person)
            or not right.roles.isdisjoint(holder.roles)
            or not right.scopes.isdisjoint(holder.scopes)
            or (self.level is not None and holder.level is not None and holder.level <= self.level)
        )

    @property
    def expectation(self) -> str:
        """Whom it lets in, in words."""
        if self.right.is_public:
            return "anybody"
        asked = self.right.expectation.removeprefix("expected ")
        of_level = f"a person of level {self.level} or stronger"
        if self.level is None:
            return asked
        return of_level if asked == "nobody" else f"{asked} or {of_level}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, and why: the rules for that method and location, and those of them that let the holder in."""

    verdict: Verdict
    problem: str = ""
    """What is wrong with the target, if it is none."""
    rules: tuple[Rule, ...] = ()
    admitting: tuple[Rule, ...] = ()


class _Node:
    """A place in the tree of patterns. Finding one costs what the path is long, however many rules there are."""

    __slots__ = ("anything", "below", "here", "named")

    def __init__(self) -> None:
        self.here: list[Rule] = []
        self.below: list[Rule] = []
        self.named: dict[str, _Node] = {}
        self.anything: _Node | None = None

    def next(self, segment: str | None) -> "_Node":
        if segment is not None:
            return self.named.setdefault(segment, _Node())
        self.anything = self.anything or _Node()
        return self.anything

    def add(self, location: str, rule: Rule) -> None:
        node = self
        for segment in (pattern := pattern_of(location)):
            if segment == ANYTHING_BELOW:
                break
            node = node.next(segment)
        (node.below if pattern[-1:] == (ANYTHING_BELOW,) else node.here).append(rule)

    def rules(self, segments: Sequence[str]) -> Iterator[Rule]:
        nodes = [self]
        for segment in segments:
            following: list[_Node] = []
            for node in nodes:
                yield from node.below
                if segment in node.named:
                    following.append(node.named[segment])
                if node.anything is not None:
                    following.append(node.anything)
            nodes = following
        for node in nodes:
            yield from node.below
            yield from node.here


class Policy:
    """Immutable. `levels` are of roles; 0 is the strongest."""

    def __init__(self, rules: Iterable[Rule], *, levels: Mapping[str, int] | None = None) -> None:
        self.rules = tuple(rules)
        self.levels = dict(levels or {})
        self._root = _Node()
        for rule in self.rules:
            for location in rule.locations:
                self._root.add(location, rule)

    def holder(self, token: VerifiedToken) -> Holder:
        """Whoever shows `token`. What a person's roles are worth is for this policy to say."""
        # A service has scopes, a person never has.
        is_person = not token.scopes
        return Holder(is_person, frozenset(token.roles), frozenset(token.scopes), self.level_of(token.roles))

    def level_of(self, roles: Iterable[str]) -> int | None:
        """Of the strongest of them."""
        return min((self.levels[role] for role in roles if role in self.levels), default=None)

    def verdict(self, method: str, target: str, holder: Holder | None) -> Verdict:
        """`target` is what the request's first line has: path and query, not decoded."""
        try:
            if any(rule.admits(holder) for rule in self._rules_for(method, target)):
                return Verdict.ADMITTED
        except Ambiguous:
            pass
        return Verdict.NOT_SIGNED_IN if holder is None else Verdict.REFUSED

    def explain(self, method: str, target: str, holder: Holder | None) -> Explanation:
        """As `verdict`, and why."""
        verdict = self.verdict(method, target, holder)
        try:
            rules = {rule.number: rule for rule in self._rules_for(method, target)}
        except Ambiguous as error:
            return Explanation(verdict, problem=str(error))
        found = tuple(rules[number] for number in sorted(rules))
        return Explanation(verdict, rules=found, admitting=tuple(rule for rule in found if rule.admits(holder)))

    def warnings(self) -> tuple[str, ...]:
        """What is legal and probably not meant: rules that ask for something where another lets in anybody."""
        return tuple(
            f"rules[{rule.number}]: {location} is public already, by rules[{wider[0].number}]"
            for rule in self.rules
            if not rule.right.is_public
            for location in rule.locations
            if (wider := self._public_at(location, rule))
        )

    def _rules_for(self, method: str, target: str) -> Iterator[Rule]:
        """A rule comes as often as its locations fit. Raises Ambiguous."""
        if method == "CONNECT":
            raise Ambiguous("CONNECT opens a tunnel, and names no location")
        return (rule for rule in self._root.rules(segments_of(target)) if rule.covers(method))

    def _public_at(self, location: str, rule: Rule) -> tuple[Rule, ...]:
        # A name that no pattern has stands for whatever may be there.
        sample = ["\0" if each in (None, ANYTHING_BELOW) else str(each) for each in pattern_of(location)]
        return tuple(
            other
            for other in self._root.rules(sample)
            if other.right.is_public
            and (other.methods is None or bool(other.methods & (rule.methods or other.methods)))
        )


NOTHING_ALLOWED = Policy(())
"""What holds where nothing was said."""
