"""E19: RabbitMQ is stopped for a minute while two replicas on one PostgreSQL sign people in and out, then started.

Every event of the log arrives, of each person in their order, and no request fails or waits for it. The replica that
publishes is killed as well when the broker comes back, so that the other has to take over.
"""

import asyncio
import base64
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import aio_pika

from tests.drills.report import BYSTANDER_P99, Findings, alone, milliseconds
from tests.drills.stage import Caller, by_refusal, rows, running_postgres, settings
from tests.support import rabbitmq
from tests.support.conditions import eventually
from tests.support.load import OK, steady
from tests.support.processes import ServiceProcess
from tests.support.rabbitmq import RabbitMqServer

QUEUE, EXCHANGE = "drill", "auth.events"
PEOPLE = [(name, f"{name}-password") for name in ("user1001", "staff1002", "user1003")]
KEY = base64.b64encode(b"the key-encryption key of drills").decode()
RATE = 20
FULL, SHORT = 60.0, 10.0
"""How many seconds the broker is away."""
ARRIVED_WITHIN = 90.0
"""Seconds after the load: a lease that somebody died with, a pause between tries, and the events."""

Told = tuple[str, str]
"""An event's id and its subject."""


async def drill(*, full: bool) -> list[Findings]:
    away = FULL if full else SHORT
    findings = Findings("E19 RabbitMQ stopped, postgresql", f"{away:.0f} s")
    if not rabbitmq.available():
        findings.note(f"left out: {rabbitmq.available().reason}")
        return [findings]
    broker = await asyncio.to_thread(lambda: RabbitMqServer().__enter__())
    try:
        await _bound_queue(broker)
        async with running_postgres() as postgres:
            replica = settings(
                database=postgres.dsn(), broker_url=broker.url, key_encryption_keys=KEY, database_timeout="5s"
            )
            async with ServiceProcess(replica) as one, ServiceProcess(replica) as other:
                await _conduct(findings, broker, one, other, away=away)
    finally:
        await asyncio.to_thread(broker.close)
    return [findings]


async def _conduct(
    findings: Findings, broker: RabbitMqServer, one: ServiceProcess, other: ServiceProcess, *, away: float
) -> None:
    people, stop = itertools.cycle(PEOPLE), asyncio.Event()
    loop = asyncio.get_running_loop()
    async with Caller(other) as caller:

        async def in_and_out() -> None:
            pair = await caller.login(next(people))
            await caller.logout(pair.refresh_token)

        began = loop.time()
        load = asyncio.create_task(steady(in_and_out, rate_per_second=RATE, stop=stop, classify=by_refusal))
        await asyncio.sleep(away / 4)
        stopped_at = loop.time() - began
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(away)
        back_at = loop.time() - began
        await asyncio.to_thread(broker.start)
        # It publishes at this moment, or is about to.
        await one.kill9()
        await asyncio.sleep(away / 4)
        stop.set()
        samples = await load
    failed = len(samples.calls) - samples.outcomes[OK]
    findings.expect(
        f"{failed} of {len(samples.calls)} sign-ins with sign-out failed {samples.outcomes if failed else ''}".strip(),
        not failed,
    )
    before, during = samples.due_between(1, stopped_at).p99, samples.due_between(stopped_at, back_at).p99
    said = f"p99 {milliseconds(during)} while it was away (before {milliseconds(before)})"
    if away < FULL:
        # Too few calls for a machine that others use.
        findings.note(said)
    else:
        findings.expect(said, during <= max(2 * before, BYSTANDER_P99))
    await _judge(findings, broker, other)


async def _judge(findings: Findings, broker: RabbitMqServer, service: ServiceProcess) -> None:
    query = "SELECT event_id, subject_id FROM audit_event ORDER BY transaction_number, id"
    logged = [(str(event), str(subject or "")) for event, subject in await rows(service, query)]
    arrived: list[Told] = []

    async def is_all() -> bool:
        arrived.extend(await _taken(broker))
        return {event for event, _ in arrived} >= {event for event, _ in logged}

    began = asyncio.get_running_loop().time()
    try:
        await eventually(is_all, deadline=ARRIVED_WITHIN, every=0.5)
    except TimeoutError:
        findings.note("gave up waiting")
    unique = list(dict.fromkeys(arrived))
    took = asyncio.get_running_loop().time() - began
    findings.expect(
        f"events written {len(logged)} = arrived {len(unique)}, {took:.0f} s after the load", set(unique) == set(logged)
    )
    findings.note(f"{len(arrived) - len(unique)} of them twice")
    disordered = sum(_by_subject(logged)[subject] != order for subject, order in _by_subject(unique).items())
    findings.expect(f"of {len(_by_subject(logged))} people, {disordered} out of order", not disordered)


def _by_subject(told: Iterable[Told]) -> dict[str, Sequence[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for event, subject in told:
        found[subject].append(event)
    return dict(found)


async def _bound_queue(broker: RabbitMqServer) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.bind(EXCHANGE, "auth.#")


async def _taken(broker: RabbitMqServer) -> list[Told]:
    """What lies in the queue now, in its order."""
    found: list[Told] = []
    async with await aio_pika.connect(broker.url) as connection:
        queue = await (await connection.channel()).get_queue(QUEUE)
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            event: dict[str, Any] = json.loads(message.body)
            found.append((event["id"], event.get("subject", "")))
    return found


if __name__ == "__main__":
    alone("E19", drill)
