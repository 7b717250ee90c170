"""`grpc.health.v1`, whose watchers do not hold up the end."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2


class Health(health.aio.HealthServicer):
    """Health as gRPC ships it, except that `leave` ends every Watch.

    A watcher waits for the next change, and a server that stops waits for its calls: one watcher, such as a load
    balancer, would cost the whole grace period.
    """

    def __init__(self) -> None:
        super().__init__()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Tell nobody anything any more. Say NOT_SERVING first."""
        self._leaving.set()

    async def Watch(  # noqa: N802 -- methods are named by gRPC
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> None:
        watching = asyncio.ensure_future(super().Watch(request, context))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait((watching, leaving), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            for task in (watching, leaving):
                task.cancel()
            await asyncio.gather(watching, leaving, return_exceptions=True)
