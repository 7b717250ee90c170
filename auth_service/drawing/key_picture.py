"""Which key signs and verifies when, as a picture: SVG for a page to take in, or a file of its own.

It loads nothing. What it looks like is said by classes alone, so a page that forbids inline styles shows it with
`STYLE` as a style sheet; a file has that within, and both follow the reader's light or dark.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from auth_service.domain.keys import State
from auth_service.domain.timeline import KeyLife, Phase, Span, Timeline
from auth_service.drawing.labels import name_of, short, state_of

_TITLE, _TOP, _BAR, _LINE = 32, 44, 18, 22
_NARROWEST = 3.0
_NOW, _DAY, _ROTATION = 40, 48, 104
"""How wide the labels are, with room around them."""
_STEPS = [timedelta(minutes=1) * minutes for minutes in (1, 5, 15, 60, 360, 1440)] + [
    timedelta(days=days) for days in (2, 7, 14, 28, 91, 182, 364, 1820)
]
_LEGEND = {Phase.WAITS: "published, does not sign yet", Phase.SIGNS: "signs", Phase.VERIFIES: "verifies only"}

# No variables, and no nesting: not every viewer knows them.
STYLE = """
.key-picture { background: #fff; font: 13px system-ui, sans-serif; }
.key-picture text { fill: #1c2430; paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round; }
.key-picture .soft { fill: #5b6672; }
.key-picture .kid { font-family: ui-monospace, monospace; }
.key-picture .grid { stroke: #dfe4ea; }
.key-picture .due { stroke: #6b7684; stroke-dasharray: 2 4; }
.key-picture path.now { stroke: #b42318; stroke-width: 1.5; }
.key-picture text.now { fill: #b42318; font-weight: 600; }
.key-picture rect { stroke: #1f6feb; }
.key-picture .waits { fill: #fff; }
.key-picture .signs { fill: #1f6feb; }
.key-picture .plan { opacity: .5; }
.key-picture pattern path { stroke: #1f6feb; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  .key-picture { background: #12161c; }
  .key-picture text { fill: #e6eaf0; stroke: #12161c; }
  .key-picture .soft { fill: #98a3b1; }
  .key-picture .grid { stroke: #2c343f; }
  .key-picture .due { stroke: #98a3b1; }
  .key-picture path.now { stroke: #ff8a73; }
  .key-picture text.now { fill: #ff8a73; }
  .key-picture rect, .key-picture pattern path { stroke: #58a6ff; }
  .key-picture .waits { fill: #12161c; }
  .key-picture .signs { fill: #58a6ff; }
}
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand, in pixels; `label` is the base line of a key's name in its row, `bar` the top of its bars."""

    name: str
    width: int
    margin: int
    left: int
    right: int
    row: int
    label: int
    bar: int
    most_ticks: int


WIDE = Layout("wide", width=960, margin=16, left=190, right=30, row=34, label=22, bar=8, most_ticks=8)
NARROW = Layout("narrow", width=328, margin=14, left=8, right=14, row=50, label=16, bar=23, most_ticks=5)
"""For a telephone: a key's name stands above its bars."""


def picture(timeline: Timeline, *, title: str, layout: Layout = WIDE) -> str:
    """The keys from top to bottom, oldest first. What is planned is paler, and right of the line that says now.

    For a page that has `STYLE`; a page may hold one of each layout.
    """
    return "\n".join(_Drawing(timeline, layout, top=_TOP).parts(title)) + "\n"


def file(timeline: Timeline, *, title: str) -> str:
    """The same as a document of its own, with its title for everybody to see."""
    opening, *rest = _Drawing(timeline, WIDE, top=_TITLE + _TOP).parts(title)
    return "\n".join([opening, f"<style>{STYLE}</style>", _text(WIDE.margin, 28, title), *rest]) + "\n"


@dataclass(frozen=True, slots=True)
class _Drawing:
    """`top` is where the first key's row begins."""

    timeline: Timeline
    layout: Layout
    top: int

    @property
    def bottom(self) -> int:
        return self.top + self.layout.row * len(self.timeline.lives)

    def parts(self, title: str) -> list[str]:
        legend, ends = self._legend(self.bottom + 52)
        id_ = f"key-picture-{self.layout.name}"
        return [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="key-picture {self.layout.name}" role="img"'
            f' aria-labelledby="{id_}-title" aria-describedby="{id_}-desc"'
            f' viewBox="0 0 {self.layout.width} {ends}" width="{self.layout.width}" height="{ends}">',
            f'<title id="{id_}-title">{escape(title)}</title>',
            f'<desc id="{id_}-desc">{escape(in_words(self.timeline))}</desc>',
            f'<defs><pattern id="{id_}-hatched" width="6" height="6" patternUnits="userSpaceOnUse">'
            '<path d="M-1 7 7 -1M-1 1 1 -1M5 7 7 5"/></pattern></defs>',
            *(self._tick(moment) for moment in self._ticks()),
            *self._dues(),
            *(part for row, life in enumerate(self.timeline.lives) for part in self._bars(row, life)),
            self._now(),
            *(part for row, life in enumerate(self.timeline.lives) for part in self._names(row, life)),
            *legend,
            "</svg>",
        ]

    def _names(self, row: int, life: KeyLife) -> list[str]:
        left, y = self.layout.margin, self.top + self.layout.row * row + self.layout.label
        return [_text(left, y, name_of(life), "kid"), _text(left + 84, y, state_of(life), "soft")]

    def _bars(self, row: int, life: KeyLife) -> list[str]:
        top = self.top + self.layout.row * row + self.layout.bar
        spans = life.spans(end=self.timeline.ends_at)
        return [self._bar(piece, top) for span in spans for piece in _cut(span, self.timeline.now)]

    def _bar(self, span: Span, top: float) -> str:
        plan = " plan" if span.start >= self.timeline.now else ""
        left = self._x(span.start)
        width = max(self._x(span.end) - left, _NARROWEST)
        told = f"{_LEGEND[span.phase]}: {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC"
        return self._rect(f"{span.phase}{plan}", left, top, width, _BAR, f"<title>{escape(told)}</title>")

    def _rect(self, kind: str, x: float, top: float, width: float, height: float, within: str = "") -> str:
        # A pattern is named by its drawing: a page may hold two, and one of them hidden, which hides its pattern.
        fill = f' fill="url(#key-picture-{self.layout.name}-hatched)"' if kind.startswith(Phase.VERIFIES) else ""
        place = f'x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" rx="2"'
        return f'<rect class="{kind}"{fill} {place}>{within}</rect>'

    def _tick(self, moment: datetime) -> str:
        line = _line(self._x(moment), self.top - 4, self.bottom, "grid")
        told = short(moment, self.timeline)
        return line + _text(self._centre(moment, _DAY), self.bottom + 18, told, "soft", anchor="middle")

    def _ticks(self) -> list[datetime]:
        """A few round moments."""
        begins_at, ends_at, most = self.timeline.begins_at, self.timeline.ends_at, self.layout.most_ticks
        step = next((step for step in _STEPS if (ends_at - begins_at) / step <= most), _STEPS[-1])
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        first = epoch + step * -((epoch - begins_at) // step)
        moments = (first + number * step for number in range(most + 1))
        return [moment for moment in moments if moment <= ends_at]

    def _dues(self) -> list[str]:
        """A line for each rotation, and when it is where that covers no other label."""
        parts, taken = [], self._centre(self.timeline.now, _NOW) + _NOW / 2
        for moment in (self.timeline.rotation_at, self.timeline.next_rotation_at):
            parts.append(_line(self._x(moment), self.top - 10, self.bottom, "due"))
            centre = self._centre(moment, _ROTATION)
            if centre - _ROTATION / 2 >= taken:
                told = f"rotation {short(moment, self.timeline)}"
                parts.append(_text(centre, self.top - 16, told, "soft", anchor="middle"))
                taken = centre + _ROTATION / 2
        return parts

    def _now(self) -> str:
        line = _line(self._x(self.timeline.now), self.top - 10, self.bottom, "now")
        return line + _text(self._centre(self.timeline.now, _NOW), self.top - 16, "now", "now", anchor="middle")

    def _legend(self, y: float) -> tuple[list[str], int]:
        """What the bars mean, in as many lines as it takes, and where the picture ends below them."""
        parts, x = [], float(self.layout.margin)
        for phase, meaning in (*_LEGEND.items(), (None, "pale: planned")):
            wide = (60 if phase else 0) + 7 * len(meaning)
            if x + wide > self.layout.width and x > self.layout.margin:
                x, y = float(self.layout.margin), y + _LINE
            parts += [self._rect(phase, x, y - 11, 22, 12)] if phase else []
            parts.append(_text(x + (30 if phase else 0), y, meaning, "soft"))
            x += wide
        return parts, round(y + 18)

    def _x(self, moment: datetime) -> float:
        begins_at, ends_at = self.timeline.begins_at, self.timeline.ends_at
        share = (moment - begins_at) / (ends_at - begins_at)
        return self.layout.left + share * (self.layout.width - self.layout.left - self.layout.right)

    def _centre(self, moment: datetime, width: float) -> float:
        """Where a label for `moment` stands: above it, or as near as the edges let it."""
        return min(max(self._x(moment), width / 2), self.layout.width - width / 2)


def in_words(timeline: Timeline) -> str:
    """What the picture shows, for those who do not see it."""
    signs = next(life for life in timeline.lives if life.state is State.ACTIVE)
    follows = next(life for life in timeline.lives if life.state is State.STANDBY)
    verify = sum(life.state is State.RETIRING for life in timeline.lives)
    others = {0: "no other key verifies", 1: "one more key only verifies"}.get(
        verify, f"{verify} more keys only verify"
    )
    return (
        f"{signs.kid} signs now, and {others}. {follows.kid} is due to sign from {timeline.rotation_at:%Y-%m-%d %H:%M}"
        f" UTC, and a key that is still to be made from {timeline.next_rotation_at:%Y-%m-%d %H:%M} UTC."
    )


def _cut(span: Span, now: datetime) -> list[Span]:
    """The past and the planned part of `span`."""
    if not span.start < now < span.end:
        return [span]
    return [Span(span.phase, span.start, now), Span(span.phase, now, span.end)]


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    described = f' class="{kind}"' if kind else ""
    return f'<text{described} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
