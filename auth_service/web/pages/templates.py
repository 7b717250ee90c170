"""The templates: read and compiled when the first page is asked for, so who never asks pays nothing."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from auth_service.web.once import Once
from auth_service.web.pages.programs import called


class Templates:
    """`given` is what every template may use."""

    def __init__(self, **given: object) -> None:
        self._given = given
        # Beside the loop, which has others to serve meanwhile.
        self._templates = Once(lambda: asyncio.to_thread(self._compiled))

    async def render(self, name: str, **values: object) -> str:
        """The page that the template `name` makes of `values`."""
        text: str = (await self._templates.get())[name].render(values)
        return text

    async def render_long(self, name: str, **values: object) -> str:
        """As `render`, beside the loop: for a page that takes a while to write."""
        template = (await self._templates.get())[name]
        return str(await asyncio.to_thread(template.render, values))

    def _compiled(self) -> Mapping[str, Any]:
        # Not at the top: most who start the service never ask for a page.
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("auth_service.web.pages", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= {"moment": _moment, "second": _second, "machine": _machine, "span": span}
        environment.filters["program"] = called
        environment.globals |= self._given
        return {name: environment.get_template(name) for name in environment.list_templates()}


def _moment(at: Any) -> str:
    """A protobuf timestamp, or a moment, for people."""
    return f"{_datetime(at):%-d %b %Y, %H:%M} UTC"


def _second(at: Any) -> str:
    """The same, where seconds matter. That it is UTC has to be said once beside many."""
    return f"{_datetime(at):%-d %b %Y, %H:%M:%S}"


def _machine(at: Any) -> str:
    """The same, as `<time datetime>` spells it."""
    return f"{_datetime(at):%Y-%m-%dT%H:%M:%SZ}"


def _datetime(at: Any) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromtimestamp(at.seconds, UTC)


def span(length: timedelta) -> str:
    """As people say it, in the largest two units at most."""
    seconds = max(round(length.total_seconds()), 0)
    told: list[str] = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, rest = divmod(seconds, size)
        if count:
            told.append(f"{count} {unit}{'s' if count > 1 else ''}")
        elif told:
            break
        seconds = rest
    return " ".join(told[:2]) or "a moment"
