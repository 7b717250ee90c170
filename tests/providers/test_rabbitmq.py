"""Events leave for a real RabbitMQ, which is stopped and started under them."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from auth_service.domain.cloud_events import BrokerUnavailable, CloudEvent
from auth_service.providers.rabbitmq import RabbitMq
from tests.support import rabbitmq
from tests.support.ports import free_port
from tests.support.rabbitmq import RabbitMqServer

EXCHANGE = "auth.events"
needs_rabbitmq = pytest.mark.skipif(not rabbitmq.available(), reason=f"left out: {rabbitmq.available().reason}")


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMqServer]:
    with RabbitMqServer() as running:
        yield running


@pytest.fixture
async def broker(server: RabbitMqServer) -> AsyncIterator[RabbitMq]:
    made = RabbitMq(server.url, exchange=EXCHANGE, app_id="auth-service")
    yield made
    await made.close()


@pytest.fixture(autouse=True)
async def nothing_is_left_for_later() -> AsyncIterator[None]:
    """aio-pika closes a connection that did not come about when it is collected, and that takes a running loop."""
    yield
    gc.collect()
    await asyncio.sleep(0)


def events(count: int, *, subject: str = "ada", of: str = "auth.role.granted") -> list[CloudEvent]:
    return [CloudEvent(str(uuid4()), of, subject, b"{}") for _ in range(count)]


@asynccontextmanager
async def queue(server: RabbitMqServer, exchange: str, key: str, **arguments: Any) -> AsyncIterator[Any]:
    """A durable queue, bound by `key`."""
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        made = await channel.declare_queue(f"queue-{uuid4()}", durable=True, arguments=arguments)
        await made.bind(exchange, key)
        yield made
        await made.delete(if_unused=False, if_empty=False)


async def taken(queue: Any) -> list[str]:
    """The ids of what lies in the queue, in its order."""
    found = []
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        assert message.content_type == "application/cloudevents+json; charset=utf-8"
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        found.append(str(message.message_id))
    return found


@needs_rabbitmq
@pytest.mark.row("E19")
async def test_a_queue_gets_what_it_is_bound_to_in_order(server: RabbitMqServer, broker: RabbitMq) -> None:
    async with queue(server, EXCHANGE, "auth.session.*") as sessions, queue(server, EXCHANGE, "#") as everything:
        started, granted = events(20, of="auth.session.started"), events(20)

        unwanted = await broker.publish([each for pair in zip(started, granted, strict=True) for each in pair])

        assert unwanted == 0
        assert await taken(sessions) == [each.id for each in started]
        assert set(await taken(everything)) == {each.id for each in (*started, *granted)}


@needs_rabbitmq
async def test_what_nobody_asked_for_is_counted(server: RabbitMqServer, broker: RabbitMq) -> None:
    async with queue(server, EXCHANGE, "auth.session.*"):
        assert await broker.publish([*events(3), *events(2, of="auth.session.ended")]) == 3


@needs_rabbitmq
async def test_a_queue_that_refuses_makes_the_batch_fail_without_leaving_any_out_of_order(
    server: RabbitMqServer, broker: RabbitMq
) -> None:
    limits = {"x-max-length": 2, "x-overflow": "reject-publish"}
    async with queue(server, EXCHANGE, "#", **limits) as full:
        written = events(5)

        with pytest.raises(BrokerUnavailable):
            await broker.publish(written)

        found = await taken(full)
        assert found == [each.id for each in written[: len(found)]]


@needs_rabbitmq
@pytest.mark.row("E19")
async def test_a_broker_that_was_stopped_is_used_again_when_it_is_back(
    server: RabbitMqServer, broker: RabbitMq
) -> None:
    name = f"queue-{uuid4()}"
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        await (await channel.declare_queue(name, durable=True)).bind(EXCHANGE, "#")
    first = events(3)
    await broker.publish(first)
    await asyncio.to_thread(server.stop)
    with pytest.raises(BrokerUnavailable):
        await broker.publish(events(3))
    await asyncio.to_thread(server.start)

    second = events(3)
    await broker.publish(second)

    async with await aio_pika.connect(server.url) as connection:
        after = await (await connection.channel()).get_queue(name)
        assert await taken(after) == [each.id for each in (*first, *second)]


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    broker = RabbitMq(f"amqp://guest:guest@127.0.0.1:{free_port()}/", exchange=EXCHANGE, app_id="auth-service")

    with pytest.raises(BrokerUnavailable) as refused:
        await broker.publish(events(1))

    assert "guest" not in str(refused.value)


async def test_what_answers_in_another_language_is_unavailable() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = RabbitMq(f"amqp://guest:guest@127.0.0.1:{port}/", exchange=EXCHANGE, app_id="auth-service")

        with pytest.raises(BrokerUnavailable):
            await broker.publish(events(1))


def test_aio_pika_is_imported_by_those_who_have_a_broker_only() -> None:
    code = "import sys, auth_service.app; sys.exit(bool({'aio_pika', 'aiormq'} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
