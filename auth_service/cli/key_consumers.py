"""`auth-service keys consumers`: who takes the key set, and whom a rotation would wait for."""

from datetime import timedelta

from auth_service import app
from auth_service.cli.administering import rows_of
from auth_service.cli.options import Json
from auth_service.cli.terminal import moment, print_rows, run, settings_where_it_serves
from auth_service.domain.pages import PageTokens
from auth_service.usecases.key_consumers import ShownConsumer
from auth_service.usecases.key_list import ConsumerPage


def consumers(*, as_json: Json = False) -> None:
    """Print who takes the key set and what they hold, those first whom a rotation waits for."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            await core.keys.read()
            listing = app.consumer_list(settings, core, page_tokens=PageTokens(core.sealing))
            pages: list[ConsumerPage] = []

            async def page(size: int, page_token: str) -> ConsumerPage:
                pages.append(await listing.page(size=size, page_token=page_token))
                return pages[-1]

            found = [each async for each in rows_of(page, lambda each: each.consumers)]
            print_rows([line_of(each) for each in sorted(found, key=_first_who_matters)], as_json=as_json)
            if not as_json:
                last = pages[-1]
                print(f"ring version {last.ring_version}; {last.standby_kid} is to sign at {moment(last.due_at)},")
                print(f"once every recent consumer holds it, and at {moment(last.at_the_latest)} at the latest")

    run(settings, step)


def line_of(shown: ShownConsumer) -> dict[str, object]:
    """A consumer in a line of a table."""
    seen, interval = shown.sighting, shown.sighting.interval
    return {
        "recent": shown.is_recent,
        "holds standby": shown.holds_standby,
        "kind": seen.consumer.kind.value,
        "address": seen.consumer.address,
        "name": seen.consumer.name,
        "user agent": seen.consumer.user_agent,
        "profile": shown.profile,
        "ring version": seen.ring_version,
        "first seen": seen.first_seen_at,
        "last seen": seen.last_seen_at,
        "times": seen.times,
        "every": None if interval is None else str(timedelta(seconds=round(interval.total_seconds()))),
    }


def _first_who_matters(shown: ShownConsumer) -> tuple[bool, bool, float]:
    return not shown.is_recent, shown.holds_standby, -shown.sighting.last_seen_at.timestamp()
