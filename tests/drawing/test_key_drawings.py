"""Which key signs when, in letters and as a picture: each phase of each key can be seen, and nothing is loaded."""

import re
from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from auth_service.domain import keys
from auth_service.domain.keys import KeyRing, State
from auth_service.domain.timeline import Timeline, timeline
from auth_service.drawing import key_picture
from auth_service.drawing.key_bars import WIDTH, bars
from tests.domain.rings import NOON, POLICY, first_ring, standby

DRAWN = re.compile("[ ─█▒│]*")


def past_and_plan(rotations: int, *, seconds_after: float) -> Timeline:
    ring: KeyRing = first_ring()
    now = NOON
    for _ in range(rotations):
        now = keys.rotation_due_at(ring, policy=POLICY)
        ring = keys.tidied(ring, now=now, policy=POLICY)
        ring = keys.rotated(ring, fresh=standby(now=now), now=now, policy=POLICY)
    return timeline(ring, now=now + timedelta(seconds=seconds_after), policy=POLICY)


TIMELINES = [
    past_and_plan(rotations, seconds_after=after) for rotations, after in ((0, 0), (0, 1e9), (3, 9e5), (9, 60))
]


@pytest.mark.parametrize("drawn", TIMELINES, ids=["new", "overdue", "old", "older"])
def test_each_phase_of_each_key_can_be_seen_in_both_pictures(drawn: Timeline) -> None:
    lines = bars(drawn).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    rows = [line[20:] for line in lines[1 : len(drawn.lives) + 1]]
    assert all(DRAWN.fullmatch(row) for row in rows)
    assert all("█" in row for row in rows)
    assert all("█▒" in row for row in rows[:-1])
    # The next begins to sign where the one before it ends, give or take what rounding hides.
    assert all(abs(later.index("█") - earlier.rindex("█") - 1) <= 1 for earlier, later in pairwise(rows))

    picture = key_picture.file(drawn, title="Keys of <https://auth> & others")
    root = ElementTree.fromstring(picture)
    shown = [each.get("class", "").split()[0] for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert shown.count("signs") >= len(drawn.lives)
    assert shown.count("verifies") >= len(drawn.lives) - 1
    assert all(float(each.get("width", "0")) >= 3 for each in root.iter("{http://www.w3.org/2000/svg}rect"))
    assert "href" not in picture
    assert "prefers-color-scheme: dark" in picture
    assert picture.count("http") == 3, "the namespace, and the title twice: nothing is loaded"


@pytest.mark.parametrize("drawn", TIMELINES, ids=["new", "overdue", "old", "older"])
def test_a_page_that_forbids_inline_styles_shows_the_picture_in_either_width(drawn: Timeline) -> None:
    pictures = [
        key_picture.picture(drawn, title="Keys", layout=layout) for layout in (key_picture.WIDE, key_picture.NARROW)
    ]
    roots = [ElementTree.fromstring(each) for each in pictures]

    assert all("style" not in each for each in pictures)
    ids = [each.get("id") for root in roots for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids)), "both may stand in one page"
    for root in roots:
        width, height = (float(each) for each in root.get("viewBox", "").split()[2:])
        placed = [each for each in root.iter() if each.tag.endswith(("rect", "text"))]
        assert all(0 <= float(each.get("x", "")) <= width for each in placed)
        assert all(0 <= float(each.get("y", "")) <= height for each in placed)
        told = {root.get("aria-labelledby"), root.get("aria-describedby")}
        assert told <= set(ids)
    signs = next(life for life in drawn.lives if life.state is State.ACTIVE)
    assert f"{signs.kid} signs now" in key_picture.in_words(drawn)
