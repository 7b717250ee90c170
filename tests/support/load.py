"""Steady load for drills: calls start on a schedule, however slow the answers are.

Latency counts from the moment a call was *due*, so a stall shows in full (no coordinated omission).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

OK = "ok"
UNSENT = "unsent"
UNFINISHED = "unfinished"

# What a call came to, from its result or its error.
Classifier = Callable[[object, BaseException | None], str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One call; all times in seconds, `due` since the load began."""

    due: float
    latency: float
    outcome: str


@dataclass
class Samples:
    """What became of every call that was due, in order of completion."""

    calls: list[Sample] = field(default_factory=list)

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(call.outcome for call in self.calls)

    def having(self, *outcomes: str) -> Self:
        return type(self)([call for call in self.calls if call.outcome in outcomes])

    def due_between(self, start: float, end: float) -> Self:
        """`start` included, `end` not; seconds since the load began."""
        return type(self)([call for call in self.calls if start <= call.due < end])

    def percentile(self, share: float) -> float:
        """The latency in seconds that `share` (0 to 1) of the calls did not exceed; NaN if there were none.

        Calls that were never sent have no latency and do not count.
        """
        latencies = sorted(call.latency for call in self.calls if call.outcome != UNSENT)
        if not latencies:
            return math.nan
        return latencies[max(0, math.ceil(share * len(latencies)) - 1)]

    @property
    def p50(self) -> float:
        return self.percentile(0.50)

    @property
    def p95(self) -> float:
        return self.percentile(0.95)

    @property
    def p99(self) -> float:
        return self.percentile(0.99)

    @property
    def max(self) -> float:
        return self.percentile(1.0)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        milliseconds = (f"{1000 * latency:.1f}" for latency in (self.p50, self.p95, self.p99, self.max))
        return f"{outcomes or 'no calls'}; p50/p95/p99/max {'/'.join(milliseconds)} ms"


def by_exception(result: object, error: BaseException | None) -> str:
    """`ok`, the gRPC status name of an error that has one, else the name of its class."""
    if error is None:
        return OK
    code = getattr(error, "code", None)
    status = code() if callable(code) else None
    return str(getattr(status, "name", type(error).__name__))


async def steady(
    call: Callable[[], Awaitable[object]],
    *,
    rate_per_second: float,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    classify: Classifier = by_exception,
    most_outstanding: int = 1000,
    patience: float = 10.0,
) -> Samples:
    """Make `rate_per_second` calls until `seconds` have passed or `stop` is set, whichever is first.

    While `most_outstanding` calls wait for an answer, a call that falls due is not made and counts as `unsent`.
    Whatever is still open `patience` seconds after the last call is cancelled and counts as `unfinished`.
    """
    if seconds is None and stop is None:
        raise ValueError("the load would never end: give seconds, stop or both")
    run = _Run(call, classify=classify, most_outstanding=most_outstanding)
    await run.keep_to_schedule(interval=1.0 / rate_per_second, seconds=seconds, stop=stop or asyncio.Event())
    await run.finish(patience)
    return run.samples


class _Run:
    def __init__(
        self,
        call: Callable[[], Awaitable[object]],
        *,
        classify: Classifier,
        most_outstanding: int,
    ) -> None:
        self.samples = Samples()
        self._call = call
        self._classify = classify
        self._most_outstanding = most_outstanding
        self._outstanding: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    async def keep_to_schedule(self, *, interval: float, seconds: float | None, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            # Multiplied, not added up: the schedule must not drift.
            due = number * interval
            if seconds is not None and due >= seconds:
                return
            wait = self._began + due - self._clock()
            if wait > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), timeout=wait)
                    return
            self._begin(due)
            number += 1
            if wait <= 0:
                # Behind schedule: let the calls get a word in between.
                await asyncio.sleep(0)

    async def finish(self, patience: float) -> None:
        if not self._outstanding:
            return
        _, late = await asyncio.wait(self._outstanding, timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _begin(self, due: float) -> None:
        if len(self._outstanding) >= self._most_outstanding:
            self.samples.calls.append(Sample(due=due, latency=0.0, outcome=UNSENT))
            return
        task = asyncio.create_task(self._sample(due))
        self._outstanding.add(task)
        task.add_done_callback(self._outstanding.discard)

    async def _sample(self, due: float) -> None:
        try:
            outcome = self._classify(await self._call(), None)
        except asyncio.CancelledError:
            outcome = UNFINISHED
        except Exception as error:  # noqa: BLE001 - whatever a call raises is what is being counted
            outcome = self._classify(None, error)
        self.samples.calls.append(Sample(due=due, latency=self._clock() - self._began - due, outcome=outcome))
