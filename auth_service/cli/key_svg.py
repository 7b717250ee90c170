"""Which key signs and verifies when, as a picture: an SVG that loads nothing and follows the reader's light or dark."""

from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from auth_service.cli.key_bars import short
from auth_service.domain.timeline import KeyLife, Phase, Span, Timeline

_WIDTH, _LEFT, _RIGHT = 960, 190, 30
_TOP, _ROW, _BAR = 76, 34, 18
_BELOW = 78
_NARROWEST = 3.0
_LABEL = 75
"""How far from one label on top the next may stand."""
_STEPS = [timedelta(minutes=1) * minutes for minutes in (1, 5, 15, 60, 360, 1440)] + [
    timedelta(days=days) for days in (2, 7, 14, 28, 91, 182, 364, 1820)
]
_MOST_TICKS = 8
_LEGEND = {Phase.WAITS: "published, does not sign yet", Phase.SIGNS: "signs", Phase.VERIFIES: "verifies only"}

# No variables: not every viewer knows them.
_STYLE = """
    svg { background: #fff; font: 13px system-ui, sans-serif; }
    text { fill: #1c2430; }
    .soft { fill: #6b7684; }
    .kid { font-family: ui-monospace, monospace; }
    .grid { stroke: #dfe4ea; }
    .due { stroke: #6b7684; stroke-dasharray: 2 4; }
    path.now { stroke: #b42318; stroke-width: 1.5; }
    text.now { fill: #b42318; font-weight: 600; }
    rect { stroke: #1f6feb; }
    .waits { fill: #fff; }
    .signs { fill: #1f6feb; }
    .verifies { fill: url(#hatched); }
    .plan { opacity: .5; }
    #hatched path { stroke: #1f6feb; stroke-width: 2; }
    @media (prefers-color-scheme: dark) {
      svg { background: #12161c; }
      text { fill: #e6eaf0; }
      .soft { fill: #98a3b1; }
      .grid { stroke: #2c343f; }
      .due { stroke: #98a3b1; }
      path.now { stroke: #ff8a73; }
      text.now { fill: #ff8a73; }
      rect, #hatched path { stroke: #58a6ff; }
      .waits { fill: #12161c; }
      .signs { fill: #58a6ff; }
    }
"""


def svg(timeline: Timeline, *, title: str) -> str:
    """The keys from top to bottom, oldest first. What is planned is paler, and right of the line that says now."""
    height = _TOP + _ROW * len(timeline.lives) + _BELOW
    bottom = _TOP + _ROW * len(timeline.lives)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        '<defs><pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path d="M-1 7 7 -1M-1 1 1 -1M5 7 7 5"/></pattern></defs>',
        _text(16, 28, title),
        *(_tick(moment, timeline, bottom) for moment in _ticks(timeline)),
        *(_due(moment, timeline, bottom) for moment in (timeline.rotation_at, timeline.next_rotation_at)),
        *(part for row, life in enumerate(timeline.lives) for part in _row(row, life, timeline)),
        _now(timeline, bottom),
        *_legend(height - 22),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(row: int, life: KeyLife, timeline: Timeline) -> list[str]:
    top = _TOP + _ROW * row
    state = life.state.value if life.state else "planned"
    spans = life.spans(end=timeline.ends_at)
    return [
        _text(16, top + 22, life.kid[:8] if life.kid else "next", "kid"),
        _text(100, top + 22, state, "soft"),
        *(_bar(piece, top + (_ROW - _BAR) / 2, timeline) for span in spans for piece in _cut(span, timeline.now)),
    ]


def _cut(span: Span, now: datetime) -> list[Span]:
    """The past and the planned part of `span`."""
    if not span.start < now < span.end:
        return [span]
    return [Span(span.phase, span.start, now), Span(span.phase, now, span.end)]


def _bar(span: Span, top: float, timeline: Timeline) -> str:
    plan = " plan" if span.start >= timeline.now else ""
    left = _x(span.start, timeline)
    width = max(_x(span.end, timeline) - left, _NARROWEST)
    told = f"{_LEGEND[span.phase]}: {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC"
    return (
        f'<rect class="{span.phase}{plan}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BAR}" rx="2">'
        f"<title>{escape(told)}</title></rect>"
    )


def _tick(moment: datetime, timeline: Timeline, bottom: float) -> str:
    x = _x(moment, timeline)
    return _line(x, _TOP - 4, bottom, "grid") + _text(x, bottom + 18, short(moment, timeline), "soft", anchor="middle")


def _due(moment: datetime, timeline: Timeline, bottom: float) -> str:
    x = _x(moment, timeline)
    label = f"rotation {short(moment, timeline)}" if x - _x(timeline.now, timeline) > _LABEL else ""
    return _line(x, _TOP - 10, bottom, "due") + _text(x, _TOP - 16, label, "soft", anchor="middle")


def _now(timeline: Timeline, bottom: float) -> str:
    x = _x(timeline.now, timeline)
    return _line(x, _TOP - 10, bottom, "now") + _text(x, _TOP - 16, "now", "now", anchor="middle")


def _legend(y: float) -> list[str]:
    parts, x = [], 16
    for phase, meaning in _LEGEND.items():
        parts.append(f'<rect class="{phase}" x="{x}" y="{y - 11}" width="22" height="12" rx="2"/>')
        parts.append(_text(x + 30, y, meaning, "soft"))
        x += 60 + 7 * len(meaning)
    return [*parts, _text(x, y, "pale: planned", "soft")]


def _ticks(timeline: Timeline) -> list[datetime]:
    """A few round moments."""
    length = timeline.ends_at - timeline.begins_at
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), _STEPS[-1])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = epoch + step * -((epoch - timeline.begins_at) // step)
    return [moment for number in range(_MOST_TICKS + 1) if (moment := first + number * step) <= timeline.ends_at]


def _x(moment: datetime, timeline: Timeline) -> float:
    share = (moment - timeline.begins_at) / (timeline.ends_at - timeline.begins_at)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    described = f' class="{kind}"' if kind else ""
    return f'<text{described} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
