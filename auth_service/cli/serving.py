"""`auth-service serve`."""

import asyncio
import gc
import os
import resource
import signal
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import structlog
from auth_client.policy_json import PolicyRefused

from auth_service import app
from auth_service.cli.terminal import fail, settings_in_force
from auth_service.domain.errors import Unavailable
from auth_service.settings import Settings
from auth_service.storage.migrate import DatabaseRefused
from auth_service.storage.private_file import UnsafeFile
from auth_service.telemetry import configure_logging

log = structlog.get_logger()

MOST_OPEN_FILES = 1 << 16

_NO_ADMINISTRATOR = """
  Nobody may administer yet. A password for the first who may, from another terminal:

    {command} admin bootstrap
"""


def serve() -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once."""
    settings = settings_in_force()
    configure_logging(level=settings.log_level, style=settings.log_format)
    _allow_many_connections()
    try:
        asyncio.run(_serve(settings))
    except PolicyRefused as error:
        fail(f"cannot start: AUTH_POLICY_FILE: {settings.policy_file} is no policy: {error}")
    except (OSError, RuntimeError, UnsafeFile, DatabaseRefused) as error:
        fail(f"cannot start: {str(error) or type(error).__name__}")


def _allow_many_connections() -> None:
    """As many open files as an administrator lets us have: the usual 1,024 are fewer than idle strangers can hold."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if most == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, most)
    if allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    async with AsyncExitStack() as stack:
        if settings.runs_demo_facility:
            from auth_service.demo.facility import running_facility

            facility = running_facility(
                settings.facility_address.host,
                settings.facility_address.port,
                uows_api_key=app.DEMO_UOWS_API_KEY,
                allocations_token=app.DEMO_ALLOCATIONS_API_KEY,
            )
            with app.named("AUTH_FACILITY_ADDRESS", settings.facility_address):
                await stack.enter_async_context(facility)
        where = await stack.enter_async_context(app.running(settings))
        # What the start made stays until the end. Looking through all of it for garbage, as Python does now and then,
        # stops every call for 100 ms; left out, for a few.
        gc.collect()
        gc.freeze()
        await _greet(settings, where)
        await stop.wait()


async def _greet(settings: Settings, where: app.Running) -> None:
    if settings.hs256_until is not None and settings.hs256_until > datetime.now(UTC):
        log.warning("hs256.on", until=settings.hs256_until.isoformat(), taken_by="Verify")
    if not settings.is_embedded:
        log.info("listening", grpc=str(where.grpc), http=str(where.http))
        return
    grpc, http = where.grpc.from_here, where.http.from_here
    # As it was called, for whoever has not put it on the PATH: `make run` calls `.venv/bin/auth-service`.
    command = sys.argv[0] if sys.argv[0].endswith("/auth-service") else "auth-service"
    hint = "" if await _may_have_administrator(where) else _NO_ADMINISTRATOR.format(command=command)
    print(
        f"""
  auth-service, embedded profile: SQLite and generated secrets in {settings.data_dir}/ (keep it, and keep it private)

  gRPC      {grpc}
  HTTP      http://{http}/.well-known/jwks.json
  pages     http://{http}{settings.path_prefix}/, and /admin for whoever looks after people and keys"""
        + (f"\n  facility  http://{settings.facility_address} (a stand-in)" if settings.runs_demo_facility else "")
        + f"""

  What to type next:

    grpcurl -plaintext {grpc} list
    grpcurl -plaintext -d '{{"username": "user1001", "password": "user1001-password"}}' \\
      {grpc} auth_api.v1.AuthService/Login
{hint}""",
        flush=True,
    )


async def _may_have_administrator(where: app.Running) -> bool:
    try:
        return await where.has_administrator()
    except Unavailable:
        return True
