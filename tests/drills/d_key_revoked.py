"""D: an emergency: the signing key is revoked; how long from the call to the last verifier that refuses its tokens.

Three replicas on one PostgreSQL. Bars of row 27: the replicas within 5 s, verifiers over HTTP within the key set's
max-age and 15 s; those that follow the trust stream within 1 s. Everybody's session goes on: a refresh gives a token
that every verifier believes at once, for the key that now signs was published before.

The short form runs the HTTP verifiers' clock faster; the streams and the replicas are never scaled.
"""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack

import grpc
from auth_api.v1 import auth_pb2, keys_pb2

from auth_service.domain.keys import KEY_SET_MAX_AGE
from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, create_admin, refusal, replicas, running_postgres
from tests.drills.verifiers import Times, Verifier, over_http, over_stream
from tests.support.conditions import eventually
from tests.support.load import OK

REPLICAS = 3
STREAMS = 21
OVER_HTTP = 9
SESSIONS = 60
BAD_KEY = "revoked_key"
FULL, SHORT = 1.0, 60.0
"""How much faster the clock of the HTTP verifiers runs."""
STREAMS_WITHIN, REPLICAS_WITHIN = 1.0, 5.0
HTTP_WITHIN = KEY_SET_MAX_AGE.total_seconds() + 15.0
"""Seconds."""


async def drill(*, full: bool) -> list[Findings]:
    times = Times(FULL if full else SHORT)
    scale = f", HTTP {times.factor:.0f} times as fast" if times.factor > 1 else ""
    findings = Findings("D signing key revoked", f"{STREAMS} streams, {OVER_HTTP} HTTP{scale}")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        services = await replicas(stack, REPLICAS, database=postgres.dsn())
        await create_admin(services[0])
        callers = [await stack.enter_async_context(Caller(each)) for each in services]
        coming = [over_stream(services[number % REPLICAS].grpc_address) for number in range(STREAMS)]
        coming += [over_http(callers[number % REPLICAS].jwks_url, times=times) for number in range(OVER_HTTP)]
        verifiers = await asyncio.gather(*(stack.enter_async_context(each) for each in coming))
        await _Run(findings, callers, list(verifiers), times).conduct()
    return [findings]


class _Run:
    def __init__(self, findings: Findings, callers: list[Caller], verifiers: list[Verifier], times: Times) -> None:
        self.findings, self.callers, self.verifiers, self.times = findings, callers, verifiers, times
        self.lost: list[str] = []
        self.refreshes = 0
        self.refused = Counter[str]()

    async def conduct(self) -> None:
        pairs = await self.callers[0].logins(SESSIONS)
        unknown = [each for each in self.verifiers for pair in pairs if each.verdict_now(pair.access_token) != OK]
        self.findings.expect(f"before: {len(unknown)} tokens not believed", not unknown)
        admin = await self.callers[0].admin_metadata()
        listed = await self.callers[0].keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
        bad = next(key.kid for key in listed.signing_keys if key.state == keys_pb2.SIGNING_KEY_STATE_ACTIVE)
        began = asyncio.get_running_loop().time()
        going_on = asyncio.gather(*(self.go_on(number, pair) for number, pair in enumerate(pairs)))
        token = pairs[0].access_token
        refusing = asyncio.gather(self.replicas_refuse(token, began), self.verifiers_refuse(token, began))
        await self.callers[0].keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=bad), metadata=admin)
        answered = asyncio.get_running_loop().time() - began
        self.findings.note(f"the call took {milliseconds(answered)}")
        at_replicas, at_verifiers = await refusing
        await going_on
        self.judge(at_replicas, at_verifiers)

    async def replicas_refuse(self, token: str, began: float) -> float:
        """Seconds until the last one does."""

        async def until_it_does(caller: Caller) -> float:
            await eventually(lambda: self.is_refused(caller, token), deadline=2 * REPLICAS_WITHIN)
            return asyncio.get_running_loop().time() - began

        return max(await asyncio.gather(*map(until_it_does, self.callers)))

    async def is_refused(self, caller: Caller, token: str) -> bool:
        try:
            await caller.verify(token)
        except grpc.aio.AioRpcError as error:
            if refusal(error).reason != "TOKEN_REVOKED":
                raise
            return True
        return False

    async def verifiers_refuse(self, token: str, began: float) -> dict[str, float]:
        """Seconds of each kind's clock until the last one does, or inf."""
        loop = asyncio.get_running_loop()
        took: dict[str, float] = {}
        believing = list(self.verifiers)
        while believing and loop.time() - began < 2 * HTTP_WITHIN / self.times.factor:
            await asyncio.sleep(0.002)
            refusing = [each for each in believing if each.verdict_now(token) != OK]
            took |= {each.kind: loop.time() - began for each in refusing}
            believing = [each for each in believing if each not in refusing]
        took["HTTP"] = took.get("HTTP", math.inf) * self.times.factor
        return took | {each.kind: math.inf for each in believing}

    async def go_on(self, number: int, pair: auth_pb2.LoginResponse) -> None:
        """As a client does whose token a server refuses: refresh, and use the new token at every server at once."""
        told_by, caller = self.verifiers[number % STREAMS], self.callers[number % REPLICAS]
        access_token, refresh_token = pair.access_token, pair.refresh_token
        await eventually(lambda: told_by.verdict_now(access_token) != OK, deadline=2 * REPLICAS_WITHIN)
        # A replica that has not heard yet signs with the bad key for a moment; such a token is refused as well.
        while told_by.verdict_now(access_token) == BAD_KEY:
            try:
                renewed = await caller.refresh(refresh_token)
            except grpc.aio.AioRpcError as error:
                self.lost.append(str(refusal(error)))
                return
            self.refreshes += 1
            access_token, refresh_token = renewed.access_token, renewed.refresh_token
        for each in self.verifiers:
            said = each.verdict_now(access_token)
            self.refused[f"{each.kind}: {said}"] += said != OK

    def judge(self, at_replicas: float, at_verifiers: dict[str, float]) -> None:
        streams, http = at_verifiers["stream"], at_verifiers["HTTP"]
        self.findings.expect(
            f"the last stream's verifier refused after {milliseconds(streams)}", streams <= STREAMS_WITHIN
        )
        self.findings.expect(f"the last replica after {milliseconds(at_replicas)}", at_replicas <= REPLICAS_WITHIN)
        self.findings.expect(f"the last over HTTP after {http:.0f} s", http <= HTTP_WITHIN)
        self.findings.expect(
            f"{len(self.lost)} of {SESSIONS} had to sign in again {self.lost[:2] or ''}".strip(), not self.lost
        )
        refused = {said: times for said, times in self.refused.items() if times}
        self.findings.expect(
            f"{self.refreshes} refreshes, {sum(refused.values())} of {SESSIONS * len(self.verifiers)} verdicts on their"
            f" new tokens were no {refused or ''}".strip(),
            not refused,
        )


if __name__ == "__main__":
    alone("D", drill)
