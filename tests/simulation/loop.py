"""An event loop in which waiting takes no time, and processes that can be killed in the middle of anything."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class _Nothing(selectors.SelectSelector):
    """Instead of waiting for what comes from outside, which nothing does, it turns the clock."""

    def __init__(self, waits: Callable[[float], None]) -> None:
        super().__init__()
        self._waits = waits

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nobody for a moment in time")
        self._waits(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Runs whatever is due in the order of its moments. Work for threads is done in line, and takes a while."""

    def __init__(self, random: Random) -> None:
        self._moment = 0.0
        self._random = random
        super().__init__(_Nothing(self._pass))
        self.set_task_factory(_task_of_its_process)  # type: ignore[arg-type]  # typeshed wants a generic function

    def time(self) -> float:
        return self._moment

    def _pass(self, seconds: float) -> None:
        self._moment += max(0.0, seconds)

    def run_in_executor(  # type: ignore[override]  # what comes back may be awaited, as it is by our own code
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        process = _process.get()

        def work() -> None:
            if future.done():
                return
            try:
                if process is not None:
                    process.reaches("work")
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 -- it is for whoever awaits
                future.set_exception(error)
            except asyncio.CancelledError:
                future.cancel()

        self.call_later(self._random.uniform(0.01, 0.5), work)
        return future


class Process:
    """What a crash ends all at once. `reached` hears when the process gets to a point at which it might."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, *, reached: Callable[[str], None] = lambda _point: None
    ) -> None:
        self.name = name
        self._loop = loop
        self.is_dead = False
        self._reached = reached
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        if self.is_dead:
            coroutine.close()
            raise RuntimeError(f"{self.name} is dead")
        context = copy_context()
        context.run(_process.set, self)
        return self._loop.create_task(coroutine, context=context)

    def reaches(self, point: str) -> None:
        """Raises CancelledError if the process ends here."""
        if not self.is_dead:
            self._reached(point)
        if self.is_dead:
            raise asyncio.CancelledError

    def kill(self) -> None:
        self.is_dead = True
        for task in list(self._tasks):
            task.cancel()

    def own(self, task: "asyncio.Task[Any]") -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        if self.is_dead:
            task.cancel()


_process: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """Whose task is running."""
    return _process.get()


def _task_of_its_process(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], context: Context | None = None
) -> "asyncio.Task[T]":
    task = asyncio.Task(coroutine, loop=loop, context=context)
    process = _process.get() if context is None else context.get(_process)
    if process is not None:
        process.own(task)
    return task
