"""Calls in flight, and what each of them costs a process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

IN_FLIGHT = 32

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call, in seconds: processor time of the process that was watched, and time on the wall."""

    cpu: float
    wall: float


async def cost(calls: Iterable[Call], *, pid: int, in_flight: int = IN_FLIGHT) -> Cost:
    """What one of `calls` costs the process `pid` while `in_flight` of them are under way. An error ends the run."""
    queue = iter(calls)
    made = 0

    async def worker() -> None:
        nonlocal made
        for call in queue:
            await call()
            made += 1

    cpu, wall = cpu_seconds(pid), time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(in_flight):
            workers.create_task(worker())
    return Cost(cpu=(cpu_seconds(pid) - cpu) / made, wall=(time.perf_counter() - wall) / made)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has spent so far, all its threads together, to the nanosecond."""
    # What clock_getcpuclockid(3) returns; /proc would round to hundredths of a second.
    return time.clock_gettime((~pid << 3) | 2)
