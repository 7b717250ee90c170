"""D7: connections that say nothing and connections that drip, at both doors, more than the HTTP door lets in at a time.

Full form: 1,000 silent and 200 dripping ones for gRPC, 120 for HTTP, which drip a request, drip a body or leave answers
unread, and 1,200 silent ones for HTTP besides. Somebody else, who verifies and takes the key set 40 times a second,
does not notice; whoever says nothing is hung up on; in the end hardly more files are open than before.
"""

import asyncio
import resource
from contextlib import AsyncExitStack

import psutil

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, settings
from tests.drills.strangers import DRIPPING_GRPC, HungUp, Size, strangers_at
from tests.support.load import OK, steady
from tests.support.processes import ServiceProcess

CLOSED_WITHIN = 130.0
FILES_LEFT = 10
WORST = 1.5
"""Seconds: the bystander's slowest call; of the short form, which is for busy machines, all but one in a hundred."""
FULL, SHORT = Size(1000, 200, 1200, 120), Size(200, 40, 1050, 30)


async def drill(*, full: bool) -> list[Findings]:
    findings = Findings("D7 slowloris", "full" if full else "short")
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ServiceProcess(settings()))
        bystander = await stack.enter_async_context(Caller(service))
        token = (await bystander.login()).access_token
        await bystander.jwks()
        before = _open_files(service)
        stop = asyncio.Event()
        verifying = asyncio.create_task(steady(lambda: bystander.verify(token), rate_per_second=20, stop=stop))
        fetching = asyncio.create_task(steady(bystander.jwks, rate_per_second=20, stop=stop))
        hung_up = await strangers_at(service, FULL if full else SHORT, patience=CLOSED_WITHIN + 10)
        stop.set()
        for name, samples in (("Verify", await verifying), ("key set", await fetching)):
            failed = {outcome: count for outcome, count in samples.outcomes.items() if outcome != OK}
            findings.expect(
                f"{name}: {failed or 'none'} of {len(samples.calls)} failed, p99 {milliseconds(samples.p99)}, worst "
                f"{milliseconds(samples.max)}",
                not failed and (samples.max if full else samples.p99) <= WORST,
            )
        _judge_closing(findings, hung_up)
        left = await _files_left(service, before)
        findings.expect(f"{left} files more than before", left <= FILES_LEFT)
    return [findings]


def _judge_closing(findings: Findings, hung_up: HungUp) -> None:
    for kind, seconds in hung_up.items():
        if kind == DRIPPING_GRPC:
            # A connection that speaks HTTP/2 may be slow for as long as it likes.
            continue
        closed = [each for each in seconds if each is not None]
        slowest = max(closed, default=0.0)
        findings.expect(
            f"{kind}: {len(closed)} of {len(seconds)} hung up on within {slowest:.0f} s",
            len(closed) == len(seconds) and slowest <= CLOSED_WITHIN,
        )


async def _files_left(service: ServiceProcess, before: int) -> int:
    """More than `before`, once the service has heard that they are gone."""
    for _ in range(300):
        if _open_files(service) <= before + FILES_LEFT:
            break
        await asyncio.sleep(0.1)
    return _open_files(service) - before


def _open_files(service: ServiceProcess) -> int:
    return int(psutil.Process(service.pid).num_fds())


if __name__ == "__main__":
    alone("D7", drill)
