"""What the pages about signing keys show: the timeline as a picture and in words, and who holds which key set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auth_service.domain.keys import State
from auth_service.domain.timeline import KeyLife, Timeline
from auth_service.drawing import key_picture
from auth_service.web.pages.admin.wire import known_moment, moment, word
from auth_service.web.pages.templates import span
from auth_service.web.pages.visits import Visit

MOST_CONSUMERS = 1000
MOST_DRAWN = 10
"""Keys in the picture: more would be a wall."""
TITLE = "Which key signs and verifies when"


@dataclass(frozen=True, slots=True)
class Consumer:
    """Whoever takes the key set; `told` is the contract's message. `name` is what people know it by."""

    told: Any
    name: str
    kind: str
    every: str

    @property
    def is_waited_for(self) -> bool:
        return bool(self.told.recent and not self.told.holds_standby)


@dataclass(frozen=True, slots=True)
class Consumers:
    """Those whom a rotation would wait for come first. `are_more`: there are some that are not here."""

    all: Sequence[Consumer]
    are_more: bool
    due_at: datetime
    at_the_latest: datetime

    @property
    def recent(self) -> Sequence[Consumer]:
        return [each for each in self.all if each.told.recent]

    @property
    def behind(self) -> Sequence[Consumer]:
        return [each for each in self.all if each.is_waited_for]


@dataclass(frozen=True, slots=True)
class Keys:
    """The ring as it stands and as it will go on. `verifies_for`: so long does a key verify that signs no more."""

    plan: Any
    timeline: Timeline
    active: KeyLife
    standby: KeyLife
    consumers: Consumers

    @property
    def ring_version(self) -> int:
        version: int = self.plan.ring_version
        return version

    @property
    def now(self) -> datetime:
        return self.timeline.now

    @property
    def verifies_for(self) -> timedelta:
        assert self.active.leaves_at is not None
        assert self.active.signs_until is not None
        return self.active.leaves_at - self.active.signs_until

    @property
    def standby_known_at(self) -> datetime:
        return known_moment(self.plan, "standby_known_at")

    @property
    def is_published_ahead(self) -> bool:
        return self.now >= self.standby_known_at

    @property
    def rollback_until(self) -> datetime | None:
        return moment(self.plan, "rollback_until")

    @property
    def tokens_until(self) -> datetime:
        return known_moment(self.plan, "tokens_until")

    @property
    def previous(self) -> KeyLife | None:
        """The key that signed before, which may sign again."""
        stopped = [each for each in self.timeline.lives if each.state is State.RETIRING and each.signs_until]
        return max(stopped, key=lambda each: each.signs_until or self.now, default=None)

    @property
    def pictures(self) -> Sequence[str]:
        """A wide and a narrow one, as SVG: a style sheet decides which is seen."""
        drawn = self.timeline.at_most(MOST_DRAWN)
        layouts = (key_picture.WIDE, key_picture.NARROW)
        return [key_picture.picture(drawn, title=TITLE, layout=layout) for layout in layouts]

    def life(self, kid: str) -> KeyLife | None:
        return next((each for each in self.timeline.lives if each.kid == kid), None)


async def keys_of(visit: Visit) -> Keys:
    """Raises Refused, also until there is a ring."""
    plan = await visit.read("KeyService/GetKeyTimeline")
    line = Timeline(
        tuple(_life(each) for each in plan.lives),
        now=known_moment(plan, "now"),
        rotation_at=known_moment(plan, "rotation_at"),
        next_rotation_at=known_moment(plan, "next_rotation_at"),
    )
    active = next(each for each in line.lives if each.state is State.ACTIVE)
    standby = next(each for each in line.lives if each.state is State.STANDBY)
    return Keys(plan, line, active, standby, await consumers_of(visit))


async def consumers_of(visit: Visit) -> Consumers:
    page = await visit.read("KeyService/ListKeyConsumers", page_size=MOST_CONSUMERS)
    found = sorted((_consumer(each) for each in page.key_consumers), key=_first_who_matters)
    return Consumers(
        found,
        are_more=bool(page.next_page_token),
        due_at=known_moment(page, "rotation_due_at"),
        at_the_latest=known_moment(page, "rotation_at_the_latest"),
    )


def consumer_names(consumers: Sequence[Any]) -> list[str]:
    """Of the contract's messages, as people know them."""
    return [_consumer(each).name for each in consumers]


def _consumer(told: Any) -> Consumer:
    every = span(timedelta(seconds=told.interval.seconds)) if told.HasField("interval") else ""
    return Consumer(told, told.name or told.profile or told.user_agent or told.address, word(told, "kind"), every)


def _first_who_matters(consumer: Consumer) -> tuple[bool, bool, float]:
    told = consumer.told
    return not told.recent, told.holds_standby, -told.last_seen_at.seconds


def _life(told: Any) -> KeyLife:
    return KeyLife(
        told.kid or None,
        State(word(told, "state")) if told.kid else None,
        known_moment(told, "published_at"),
        moment(told, "signs_from"),
        moment(told, "signs_until"),
        moment(told, "leaves_at"),
    )
