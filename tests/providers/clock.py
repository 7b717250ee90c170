"""A clock that goes when it is told to."""


class Clock:
    """Seconds since some moment, as `time.monotonic` gives them."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
