"""D4: three replicas on one database are asked to rotate at the same moment and with the same ring version, under load.

Exactly one new key each time; every replica signs with the new key within 5 s; and three verifiers, each with a key set
cached from another replica, refuse none of the tokens. They judge with `verify_now`: like Envoy and Istio they never
fetch on account of an unknown kid. What protects them is that a key is published ahead.

Time-scaled: the verifiers refetch every second instead of every 5 to 20 minutes, and `publish_ahead` is 2 s instead of
24 h. Rotations ask for `require_published_ahead`, so that each comes as early as the rule allows.
"""

import asyncio
import itertools
from contextlib import AsyncExitStack
from datetime import timedelta

from auth_api.v1 import keys_pb2
from auth_client import KeysUnavailable, TokenRefused, TokenVerifier
from auth_client.http_jwks import HttpJwks

from tests.drills.report import Findings, alone
from tests.drills.stage import ISSUER, Caller, create_admin, refusal, replicas, rows, running_postgres
from tests.support.load import OK, Samples, by_exception, steady
from tests.support.processes import ServiceProcess

REPLICAS = 3
SESSIONS = 60
REFETCHED = timedelta(seconds=1)
SCALED = {
    "poll_every": "200ms",
    "key_publish_ahead": "2s",
    "key_rotate_every": "1h",
    "signer_lease": "5s",
    "clock_skew": "1s",
    "access_token_lifetime": "1m",
}
ON_THE_NEW_KEY_WITHIN = 5.0


async def drill(*, full: bool) -> list[Findings]:
    rotations, rate = (200, 30) if full else (6, 30)
    findings = Findings(f"D4 {REPLICAS} replicas rotate at once", f"{rotations} rotations")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        services = await replicas(stack, REPLICAS, database=postgres.dsn(), scaled=SCALED)
        await create_admin(services[0])
        callers = [await stack.enter_async_context(Caller(replica)) for replica in services]
        verifiers = []
        for caller in callers:
            keys = HttpJwks(caller.jwks_url, shortest_life=REFETCHED, longest_life=REFETCHED)
            await stack.enter_async_context(keys)
            verifiers.append(TokenVerifier(issuer=ISSUER, audience="auth-service", keys=keys))
        await _Run(findings, services[0], callers, verifiers).conduct(rotations, rate)
    return [findings]


class _Run:
    def __init__(
        self, findings: Findings, first: ServiceProcess, callers: list[Caller], verifiers: list[TokenVerifier]
    ) -> None:
        self.findings, self.first, self.callers, self.verifiers = findings, first, callers, verifiers
        self.turns = itertools.cycle(range(REPLICAS))
        self.refresh_tokens: asyncio.Queue[str] = asyncio.Queue()
        self.signing_kids = [""] * REPLICAS
        self.verdicts = 0
        self.refused: list[str] = []
        self.odd: list[str] = []
        self.slowest = 0.0

    async def conduct(self, rotations: int, rate: float) -> None:
        for pair in await self.callers[0].logins(SESSIONS):
            self.refresh_tokens.put_nowait(pair.refresh_token)
        known = {str(kid) for (kid,) in await rows(self.first, "SELECT kid FROM signing_key")}
        stop = asyncio.Event()
        load = asyncio.create_task(steady(self.mint_and_verify, rate_per_second=rate, stop=stop, classify=by_exception))
        one_winner, one_key = 0, 0
        for _ in range(rotations):
            won, new_kid = await self.rotate_everywhere()
            now_known = {str(kid) for (kid,) in await rows(self.first, "SELECT kid FROM signing_key")}
            one_winner += won == 1
            one_key += len(now_known - known) == 1
            known = now_known
            await self.all_sign_with(new_kid)
        stop.set()
        self.judge(await load, rotations, one_winner, one_key)

    async def mint_and_verify(self) -> None:
        """A fresh token from one replica, judged at once by the verifiers of all."""
        number = next(self.turns)
        # Each session's client has one refresh under way at most, however slow the answers are.
        token = await self.refresh_tokens.get()
        pair = await self.callers[number].refresh(token)
        self.refresh_tokens.put_nowait(pair.refresh_token)
        for verifier in self.verifiers:
            self.verdicts += 1
            try:
                self.signing_kids[number] = verifier.verify_now(pair.access_token).key_id
            except (TokenRefused, KeysUnavailable) as error:
                self.refused.append(str(error))

    async def rotate_everywhere(self) -> tuple[int, str]:
        """How many of the replicas rotated, and the kid that signs now; as soon as the standby is published enough."""
        while True:
            admin = await self.callers[0].admin_metadata()
            version = int(str((await rows(self.first, "SELECT version FROM key_ring"))[0][0]))
            request = keys_pb2.RotateSigningKeyRequest(ring_version=version, require_published_ahead=True)
            answers = await asyncio.gather(
                *(caller.keys.RotateSigningKey(request, metadata=admin, timeout=10) for caller in self.callers),
                return_exceptions=True,
            )
            rings = [answer for answer in answers if isinstance(answer, keys_pb2.RotateSigningKeyResponse)]
            reasons = {refusal(answer).reason for answer in answers if isinstance(answer, BaseException)}
            self.odd += reasons - {"RING_CHANGED", "KEY_STATE"}
            if rings:
                return len(rings), rings[0].active.kid
            # Not published for long enough yet, or the ring was tidied between reading its version and now.
            await asyncio.sleep(0.1)

    async def all_sign_with(self, kid: str) -> None:
        began = asyncio.get_running_loop().time()
        took = 0.0
        while set(self.signing_kids) != {kid} and took <= 2 * ON_THE_NEW_KEY_WITHIN:
            await asyncio.sleep(0.02)
            took = asyncio.get_running_loop().time() - began
        self.slowest = max(self.slowest, took)

    def judge(self, minted: Samples, rotations: int, one_winner: int, one_key: int) -> None:
        self.findings.expect(f"one replica rotated {one_winner} of {rotations} times", one_winner == rotations)
        self.findings.expect(f"one new key {one_key} of {rotations} times", one_key == rotations)
        self.findings.expect(
            f"all sign with the new key within {self.slowest:.2f} s", self.slowest <= ON_THE_NEW_KEY_WITHIN
        )
        self.findings.expect(
            f"{len(self.refused)} of {self.verdicts} verdicts on fresh tokens were no {self.refused[:2] or ''}".strip(),
            not self.refused,
        )
        failed = len(minted.calls) - minted.outcomes[OK]
        self.findings.expect(f"{failed} of {len(minted.calls)} refreshes failed", failed == 0)
        self.findings.expect(f"nothing odd {sorted(set(self.odd)) or ''}".strip(), not self.odd)


if __name__ == "__main__":
    alone("D4", drill)
