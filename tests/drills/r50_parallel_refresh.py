"""R50: fifty parallel Refresh with one token, again and again; on SQLite and on PostgreSQL.

Each time: one generation step, and every answer carries the same successor. At the end the spent token comes back
after the replay window: that ends its session, and no other.
"""

import asyncio

import grpc

from tests.drills.report import Findings, alone
from tests.drills.stage import KINDS, Caller, Kind, database_of, generation_of, refusal, rows, settings
from tests.support.processes import ServiceProcess

PARALLEL = 50
WINDOW = 2.0


async def drill(*, full: bool) -> list[Findings]:
    return [await _on(kind, rounds=100 if full else 10) for kind in KINDS]


async def _on(kind: Kind, *, rounds: int) -> Findings:
    findings = Findings(f"R50 one token, {PARALLEL} times, {kind}", f"{rounds} rounds")
    async with (
        database_of(kind) as database,
        ServiceProcess(settings(database=database, refresh_replay_window=f"{WINDOW}s")) as service,
    ):
        # Several channels, for calls on one arrive in order.
        callers = [Caller(service) for _ in range(5)]
        try:
            await _conduct(findings, service, callers, rounds=rounds)
        finally:
            for caller in callers:
                await caller.__aexit__()
    return findings


async def _conduct(findings: Findings, service: ServiceProcess, callers: list[Caller], *, rounds: int) -> None:
    caller = callers[0]
    token, *others = [pair.refresh_token for pair in await caller.logins(3)]
    forks, wrong_steps, refused = 0, 0, []
    spent = token
    for _ in range(rounds):
        answers = await asyncio.gather(
            *(callers[number % len(callers)].refresh(token) for number in range(PARALLEL)), return_exceptions=True
        )
        successors = {answer.refresh_token for answer in answers if not isinstance(answer, BaseException)}
        refused += [str(refusal(answer)) for answer in answers if isinstance(answer, BaseException)]
        forks += len(successors) != 1
        step = max((generation_of(each) for each in successors), default=0) - generation_of(token)
        held = await rows(service, "SELECT max(generation) FROM session WHERE ended_at IS NULL")
        wrong_steps += step != 1 or held[0][0] != generation_of(token) + 1
        spent, token = token, next(iter(successors), token)
    findings.expect(f"{forks} of {rounds} rounds with other than one successor", forks == 0)
    findings.expect(f"{wrong_steps} with other than one generation step", wrong_steps == 0)
    findings.expect(
        f"{len(refused)} of {rounds * PARALLEL} calls refused {sorted(set(refused))[:3] or ''}".strip(), not refused
    )
    await asyncio.sleep(WINDOW + 0.2)
    late = await _said(caller, spent)
    findings.expect(f"the spent token after the window: {late}", late == "REFRESH_TOKEN_REUSED")
    said = [await _said(caller, each) for each in (token, *others)]
    findings.expect(f"then its session: {said[0]}", said[0] == "REFRESH_TOKEN_REVOKED")
    findings.expect(f"other sessions of the person: {', '.join(said[1:])}", said[1:] == ["ok", "ok"])
    ended = await rows(service, "SELECT end_reason FROM session WHERE ended_at IS NOT NULL")
    findings.expect(f"{len(ended)} session ended", ended == [("reuse",)])


async def _said(caller: Caller, token: str) -> str:
    try:
        await caller.refresh(token)
    except grpc.aio.AioRpcError as error:
        return refusal(error).reason
    return "ok"


if __name__ == "__main__":
    alone("R50", drill)
