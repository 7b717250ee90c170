"""Which key signs and verifies when, in the letters of a terminal: 80 columns, and no colour that could be missing."""

from datetime import datetime, timedelta

from auth_service.domain.timeline import KeyLife, Phase, Timeline
from auth_service.drawing.labels import name_of, short, state_of

WIDTH = 80
_LABELS = 20
_COLUMNS = WIDTH - _LABELS
_LETTERS = {Phase.WAITS: "─", Phase.SIGNS: "█", Phase.VERIFIES: "▒"}
_LEGEND = "─ published  █ signs  ▒ verifies only"
_NOW = "│"


def bars(timeline: Timeline) -> str:
    """A line for each key, oldest first; what stands right of the mark is the plan."""
    column = (timeline.ends_at - timeline.begins_at) / _COLUMNS
    lines = [f"{'kid':<10}{'state':<10}{_axis(timeline)}".rstrip()]
    lines += [f"{name_of(life):<10}{state_of(life):<10}{_bar(life, timeline)}".rstrip() for life in timeline.lives]
    return "\n".join([*lines, "", f"{_LEGEND}  {_NOW} now; a column is {_about(column)}"])


def _bar(life: KeyLife, timeline: Timeline) -> str:
    """Phases are rounded to columns. To sign or to verify is worth one at least: only to verify takes minutes."""
    cells = [" "] * _COLUMNS
    cells[_column(timeline.now, timeline)] = _NOW
    reached = _column(life.published_at, timeline)
    for span in life.spans(end=timeline.ends_at):
        shortest = 0 if span.phase is Phase.WAITS else 1
        end = min(max(_column(span.end, timeline), reached + shortest), _COLUMNS)
        cells[reached:end] = _LETTERS[span.phase] * (end - reached)
        reached = end
    return "".join(cells)


def _axis(timeline: Timeline) -> str:
    """Dates where something happens, the nearest first: a label that would touch another is left out."""
    cells = [" "] * (_COLUMNS + len("00 Mon"))
    for moment in (timeline.now, timeline.rotation_at, timeline.next_rotation_at, timeline.begins_at):
        label = "now" if moment == timeline.now else short(moment, timeline)
        start = _column(moment, timeline)
        if all(cell == " " for cell in cells[max(start - 1, 0) : start + len(label) + 1]):
            cells[start : start + len(label)] = label
    return "".join(cells[:_COLUMNS])


def _column(moment: datetime, timeline: Timeline) -> int:
    share = (moment - timeline.begins_at) / (timeline.ends_at - timeline.begins_at)
    return min(max(round(share * _COLUMNS), 0), _COLUMNS - 1)


def _about(span: timedelta) -> str:
    """Two units at most, such as 1d 10h."""
    seconds = round(span.total_seconds())
    sizes = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    told: list[str] = []
    for unit, size in sizes.items():
        count, seconds = divmod(seconds, size)
        if count or told:
            told.append(f"{count}{unit}" if count else "")
    return " ".join(each for each in told[:2] if each) or "under 1s"
