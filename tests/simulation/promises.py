"""What must hold in every world, and the record of what happened by which it is judged.

ring        one key signs per version, one stands by; nothing goes back, no kid returns
private     the private half is wiped only when no replica may sign with it, and is not used afterwards
signing     only the active key, and the demoted one for a lease; nothing for a session that is over
refused     no verifier within its contract refuses a good token
accepted    nothing revoked is believed past its bound, nor again once it was refused
successor   a refresh token buys one successor, however often it is presented
replayed    within the replay window, that is; it ends, however long whoever it waits for stays away
logged out  nobody who only repeats a call whose answer was lost is taken for a thief
defects     no step in the background fails in a way that nobody foresaw
"""

import base64
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from auth_service.domain.keys import KeyRing, SigningKey, State
from auth_service.domain.tokens import CANARY

ORDER = {State.STANDBY: 0, State.ACTIVE: 1, State.RETIRING: 2, State.RETIRED: 3, State.REVOKED: 4}
LATE = timedelta(seconds=2)
"""What calls under way may take."""


@dataclass(frozen=True, slots=True)
class Broken:
    promise: str
    how: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.how}"


@dataclass(frozen=True, slots=True, eq=False)
class Issued:
    """An access token that was signed, whether its answer arrived or not. `signed_at` is in true seconds."""

    token: str
    kid: str
    session_id: str
    exp: int
    signed_at: float
    by: str
    is_canary: bool = False


@dataclass
class Record:
    """What happened. Moments are true ones, in seconds since the beginning."""

    broken: list[Broken] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    ring: KeyRing = field(default_factory=lambda: KeyRing(version=0))
    issued: list[Issued] = field(default_factory=list)
    revoked: dict[str, float] = field(default_factory=dict)
    """Sessions."""
    revoked_kids: dict[str, float] = field(default_factory=dict)
    demoted_kids: dict[str, float] = field(default_factory=dict)
    hasty_kids: set[str] = field(default_factory=set)
    """Those that an operator made sign before every verifier could know them (decision 2)."""
    refused_as_revoked: set[tuple[str, str]] = field(default_factory=set)
    """Who refused tokens of which session or key."""
    successors: dict[str, str] = field(default_factory=dict)
    rotations: int = 0

    def check(self, promise: str, holds: bool, how: str) -> None:
        self.checked[promise] += 1
        if not holds:
            self.broken.append(Broken(promise, how))

    def ring_changed(
        self, new: KeyRing, *, moment: float, by_operator: bool, may_sign: Collection[tuple[str, str]]
    ) -> None:
        """`may_sign`: replicas that hold a lease, each with the kid that it would sign with."""
        old, self.ring = self.ring, new
        states = Counter(key.state for key in new.keys)
        self.check("ring", new.version == old.version + 1, f"version {old.version} became {new.version}")
        self.check("ring", states[State.ACTIVE] == 1 and states[State.STANDBY] == 1, f"keys by state: {dict(states)}")
        after = {key.kid: key for key in new.keys}
        for before in old.keys:
            now = after.get(before.kid)
            self.check("ring", now is not None, f"{_short(before.kid)} is forgotten")
            if now is not None:
                self._key_changed(before, now, moment=moment, may_sign=may_sign)
        if old.version and by_operator and old.active.kid != new.active.kid:
            self.hasty_kids.add(new.active.kid)
        self.rotations += bool(old.version and old.active.kid != new.active.kid)

    def _key_changed(
        self, before: SigningKey, now: SigningKey, *, moment: float, may_sign: Collection[tuple[str, str]]
    ) -> None:
        kid = _short(now.kid)
        # An operator may let a retiring key sign again; nothing else goes back.
        goes_back = ORDER[now.state] < ORDER[before.state]
        is_rollback = before.state in (State.RETIRING, State.ACTIVE) and now.state in (State.ACTIVE, State.STANDBY)
        self.check("ring", not goes_back or is_rollback, f"{kid} was {before.state} and is {now.state}")
        if before.state is State.ACTIVE and now.state is not State.ACTIVE:
            self.demoted_kids[now.kid] = moment
        if now.state is State.ACTIVE:
            self.demoted_kids.pop(now.kid, None)
        if now.state is State.REVOKED:
            self.revoked_kids.setdefault(now.kid, moment)
        elif before.sealed_private is not None and now.sealed_private is None:
            holders = sorted(name for name, held in may_sign if held == now.kid)
            self.check("private", not holders, f"{kid} was wiped while {', '.join(holders)} may sign with it")

    def signed(self, token: str, *, moment: float, by: str, lease: timedelta) -> Issued:
        """A replica signed `token`."""
        header, claims = (_decoded(part) for part in token.split(".")[:2])
        new = Issued(token, header["kid"], claims["sid"], claims["exp"], moment, by, is_canary=CANARY in claims)
        self.issued.append(new)
        kid, grace = _short(new.kid), (lease + LATE).total_seconds()
        known = {key.kid: key for key in self.ring.keys}.get(new.kid)
        self.check("signing", known is not None, f"{by} signed with {kid}, which the database does not know")
        if known is None:
            return new
        if new.is_canary:
            return new
        ended = self.demoted_kids.get(new.kid, self.revoked_kids.get(new.kid))
        has_signed = known.state is State.ACTIVE or ended is not None
        self.check("signing", has_signed, f"{by} signed with {kid}, which is {known.state}")
        if ended is not None:
            self.check(
                "signing", moment <= ended + grace, f"{by} signed with {kid} {moment - ended:.0f} s after its end"
            )
        is_wiped = known.sealed_private is None and known.state is not State.REVOKED
        self.check("private", not is_wiped, f"{by} signed with {kid}, whose private half was wiped")
        over = self.revoked.get(new.session_id)
        if over is not None:
            is_late = moment > over + LATE.total_seconds()
            self.check("signing", not is_late, f"{by} signed for a session that ended {moment - over:.0f} s before")
        return new

    def bought(self, spent: str, successor: str) -> None:
        """A refresh token was answered with another one, whether the answer arrived or not."""
        first = self.successors.setdefault(spent, successor)
        self.check("successor", first == successor, "one refresh token bought two successors")

    def is_good(self, issued: Issued) -> bool:
        """Whether nothing speaks against the token but the time."""
        return issued.session_id not in self.revoked and issued.kid not in self.revoked_kids

    def refused(self, issued: Issued, *, by: str, reason: str, within_contract: bool) -> None:
        if reason == "revoked":
            self.refused_as_revoked.add((by, issued.session_id))
        if reason == "revoked_key":
            self.refused_as_revoked.add((by, issued.kid))
        if self.is_good(issued) and within_contract:
            self.check("refused", False, f"{by} refused a good token of {_short(issued.kid)}: {reason}")

    def accepted(self, issued: Issued, *, by: str, knows_session_ends_until: float, knows_keys_until: float) -> None:
        """`…_until`: whatever was revoked before that moment, this verifier should know."""
        self.checked["refused"] += 1
        again = self.refused_as_revoked & {(by, issued.session_id), (by, issued.kid)}
        self.check("accepted", not again, f"{by} believed a token that it had refused as revoked before")
        over = self.revoked.get(issued.session_id)
        if over is not None:
            self.check(
                "accepted",
                knows_session_ends_until <= over,
                f"{by} believed a token of a session that ended {knows_session_ends_until - over:.1f} s before it was"
                " up to date",
            )
        over = self.revoked_kids.get(issued.kid)
        if over is not None:
            self.check(
                "accepted",
                knows_keys_until <= over,
                f"{by} believed a token of a key that was revoked {knows_keys_until - over:.1f} s before it was"
                " up to date",
            )

    def bought_again(self, *, since_spent: timedelta, window: timedelta, how: str) -> None:
        """`window` is the longest that it may have been open."""
        self.check(
            "replayed",
            since_spent < window,
            f"a refresh token bought its successor again {since_spent.total_seconds():.1f} s after it was spent, {how}",
        )

    def taken_for_a_thief(
        self, *, since_spent: timedelta, absence: timedelta, window: timedelta, slack: timedelta
    ) -> None:
        """Of somebody who only ever presented their newest token."""
        counted = since_spent - absence
        self.check(
            "logged out",
            counted >= window - slack,
            f"somebody whose answer was lost is taken for a thief after {counted.total_seconds():.1f} s"
            f" (and {absence.total_seconds():.0f} s without the database)",
        )


def _short(kid: str) -> str:
    return kid[:8]


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
