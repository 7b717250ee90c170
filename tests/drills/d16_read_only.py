"""D16: the database becomes read-only, as after a failover; then it is read-only for those connected before it ended.

Writes are UNAVAILABLE within a second, Verify goes on, and all is well 5 s after somebody may write again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import REFUSED_WELL, Caller, by_refusal, running_postgres, settings
from tests.support.load import OK, steady
from tests.support.processes import ServiceProcess

WITHIN = 1.0
BACK_WITHIN = 5.0

_SETTING = "default_transaction_read_only"
_ON = (f"ALTER SYSTEM SET {_SETTING} = on", "SELECT pg_reload_conf()")
_OFF = (f"ALTER SYSTEM RESET {_SETTING}", "SELECT pg_reload_conf()")
# A new connection takes the database's setting as it is, and keeps it.
_ON_FOR_THE_CONNECTED = (
    f"ALTER DATABASE postgres SET {_SETTING} = on",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid != pg_backend_pid()",
)
_OFF_FOR_THE_NEXT = (f"ALTER DATABASE postgres RESET {_SETTING}",)


async def drill(*, full: bool) -> list[Findings]:
    seconds = 30.0 if full else 4.0
    async with running_postgres() as postgres:
        operator = await asyncpg.connect(postgres.dsn(), server_settings={_SETTING: "off"})
        try:
            async with ServiceProcess(settings(database=postgres.dsn())) as service, Caller(service) as caller:

                async def say(statements: Sequence[str]) -> None:
                    for statement in statements:
                        await operator.execute(statement)

                return [
                    await _read_only("D16 read-only database", say, _ON, _OFF, caller, seconds),
                    await _read_only(
                        "D16 read-only for who is connected",
                        say,
                        _ON_FOR_THE_CONNECTED,
                        _OFF_FOR_THE_NEXT,
                        caller,
                        seconds,
                    ),
                ]
        finally:
            await operator.close()


async def _read_only(
    name: str,
    say: Callable[[Sequence[str]], Awaitable[None]],
    begin: Sequence[str],
    end: Sequence[str],
    caller: Caller,
    seconds: float,
) -> Findings:
    findings = Findings(name, f"{seconds:.0f} s")
    pair = await caller.login()
    tokens = [each.refresh_token for each in await caller.logins(40)]
    turn = 0

    async def refresh() -> None:
        nonlocal turn
        number = turn = (turn + 1) % len(tokens)
        tokens[number] = (await caller.refresh(tokens[number])).refresh_token

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    began = loop.time()
    load = asyncio.gather(
        steady(lambda: caller.verify(pair.access_token), rate_per_second=100, stop=stop),
        steady(caller.login, rate_per_second=5, stop=stop, classify=by_refusal),
        steady(refresh, rate_per_second=10, stop=stop, classify=by_refusal),
    )
    await asyncio.sleep(1)
    await say(begin)
    # What was under way ends first.
    await asyncio.sleep(0.2)
    from_, until = loop.time() - began, loop.time() - began + seconds
    await asyncio.sleep(seconds)
    await say(end)
    back = loop.time() - began
    await asyncio.sleep(BACK_WITHIN + 1)
    stop.set()
    verify, login, refreshed = await load

    failed = len(verify.calls) - verify.outcomes[OK]
    findings.expect(f"Verify {failed} of {len(verify.calls)} failed", failed == 0)
    for what, samples in (("Login", login), ("Refresh", refreshed)):
        during = samples.due_between(from_, until - 0.1)
        refused = during.having(REFUSED_WELL)
        findings.expect(
            f"{what} {len(refused.calls)} of {len(during.calls)} {REFUSED_WELL}",
            len(refused.calls) == len(during.calls) > 0,
        )
        findings.expect(f"p99 {milliseconds(during.p99)}", during.p99 <= WITHIN)
        late = [call.due + call.latency - back for call in samples.calls if call.due > back and call.outcome != OK]
        findings.expect(f"back after {max(late, default=0.0):.1f} s", max(late, default=0.0) <= BACK_WITHIN)
        odd = sorted(set(samples.outcomes) - {OK, REFUSED_WELL})
        findings.expect(f"nothing else {odd or ''}".strip(), not odd)
    return findings


if __name__ == "__main__":
    alone("D16", drill)
