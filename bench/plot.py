"""`python -m bench.plot`: the last figures as `results/latest.svg`, one bar each with its target as a mark."""

import json
from html import escape
from pathlib import Path

from bench.figures import Figure

RESULTS = Path(__file__).with_name("results")
LEFT, WIDTH, RIGHT, STEP, TOP = 400, 420, 150, 30, 60
TICKS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""In shares of the target; a bar that would be longer is cut off, and its number says how long."""

# Colours that hold on white and on near-black alike.
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a }
.name { text-anchor: end }
.tick { text-anchor: middle; font-size: 11px }
.grid { stroke: #8b949e; stroke-opacity: .35 }
.met { fill: #2da44e } .missed { fill: #d1622b } .other { fill: #8b949e }
.spread { stroke: #57606a; stroke-width: 2 }
.target { stroke: #0969da; stroke-width: 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #b1bac4 } .spread { stroke: #e6edf3 } .target { stroke: #58a6ff }
}
"""


def drawn(figures: list[Figure]) -> str:
    """An SVG. Every bar is drawn in units of its own target, so that one axis serves all of them."""
    shown = [figure for figure in figures if figure.is_met is not None]
    bottom = TOP + STEP * len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {bottom + 60}" role="img">',
        f"<title>auth-service: measured figures beside their targets</title><style>{STYLE}</style>",
        f'<text x="{LEFT}" y="24">Measured, in units of the target (blue line)</text>',
    ]
    for tick in TICKS:
        parts.append(f'<line class="grid" x1="{_x(tick)}" y1="{TOP - 8}" x2="{_x(tick)}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{_x(tick)}" y="{bottom + 18}">{tick:g}</text>')
    for number, figure in enumerate(shown):
        parts += _bar(figure, TOP + STEP * number)
    parts.append(f'<line class="target" x1="{_x(1)}" y1="{TOP - 8}" x2="{_x(1)}" y2="{bottom}"/>')
    parts.append(
        f'<text class="tick" x="{LEFT + WIDTH / 2}" y="{bottom + 42}">'
        "share of the target; thin line: the quartiles; green: met</text>"
    )
    return "\n".join([*parts, "</svg>"])


def _bar(figure: Figure, y: int) -> list[str]:
    goal = figure.at_least if figure.at_least is not None else figure.at_most
    assert goal is not None
    lower, upper = (share / goal for share in figure.spread)
    middle = y + STEP // 2 - 4
    unit = "" if figure.unit == "ratio" else f" {figure.unit}"
    return [
        f'<text class="name" x="{LEFT - 10}" y="{middle + 5}">{escape(figure.name)}</text>',
        f'<rect class="{"met" if figure.is_met else "missed"}" x="{LEFT}" y="{y}" rx="2"'
        f' width="{_x(figure.median / goal) - LEFT}" height="{STEP - 8}"/>',
        f'<line class="spread" x1="{_x(lower)}" y1="{middle}" x2="{_x(upper)}" y2="{middle}"/>',
        f'<text x="{LEFT + WIDTH + 10}" y="{middle + 5}">{figure.median:.3g}{unit} ({escape(figure.target)})</text>',
    ]


def _x(share: float) -> float:
    return round(LEFT + WIDTH * min(share, TICKS[-1]) / TICKS[-1], 1)


def main() -> None:
    kept = json.loads((RESULTS / "latest.json").read_text())
    figures = [Figure(**{**each, "rounds": tuple(each["rounds"])}) for each in kept]
    path = RESULTS / "latest.svg"
    path.write_text(drawn(figures))
    print(path)


if __name__ == "__main__":
    main()
