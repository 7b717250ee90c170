"""What a key and a moment are called in a drawing."""

from datetime import datetime, timedelta

from auth_service.domain.timeline import KeyLife, Timeline


def name_of(life: KeyLife) -> str:
    """The beginning of its kid, which tells it from the others."""
    return life.kid[:8] if life.kid else "next"


def state_of(life: KeyLife) -> str:
    return life.state.value if life.state else "planned"


def short(moment: datetime, timeline: Timeline) -> str:
    """A day, or a time of day where all happens within a few."""
    return f"{moment:%d %b}" if timeline.ends_at - timeline.begins_at > timedelta(days=3) else f"{moment:%H:%M}"
