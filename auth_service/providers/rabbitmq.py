"""RabbitMQ, to which events leave: a durable topic exchange, persistent messages, each confirmed by the broker.

The routing key is the event's type, such as `auth.session.started`: a queue that is bound to `auth.session.*` gets
what concerns sessions. An event that no queue asked for is gone; the answer counts those.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from auth_service.domain.cloud_events import MEDIA_TYPE, BrokerUnavailable, CloudEvent

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection, AbstractExchange

CONNECT_WITHIN = timedelta(seconds=5)
CONFIRM_WITHIN = timedelta(seconds=10)
"""For one call of `publish`: a broker that is short of memory takes nothing and says nothing."""
HANG_UP_WITHIN = timedelta(seconds=1)


class RabbitMq:
    """One connection, made when it is needed and thrown away when anything goes wrong with it."""

    def __init__(self, url: str, *, exchange: str, app_id: str) -> None:
        self._url = url
        self._exchange_name = exchange
        self._app_id = app_id
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def publish(self, events: Sequence[CloudEvent]) -> int:
        """See `Broker`. What is of one subject goes one by one, so that a refusal leaves nothing out of order."""
        from aio_pika.exceptions import AMQPError

        by_subject = defaultdict(list)
        for event in events:
            by_subject[event.subject].append(event)
        try:
            async with asyncio.timeout(CONFIRM_WITHIN.total_seconds()):
                exchange = await self._opened()
                return sum(await asyncio.gather(*(self._in_turn(exchange, each) for each in by_subject.values())))
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            # What is still on its way of the other subjects ends with the connection.
            await self.close()
            raise BrokerUnavailable(type(error).__name__) from error

    async def _in_turn(self, exchange: "AbstractExchange", events: Sequence[CloudEvent]) -> int:
        from aio_pika import DeliveryMode, Message
        from aiormq.abc import DeliveredMessage

        unwanted = 0
        for event in events:
            message = Message(
                event.body,
                content_type=MEDIA_TYPE,
                delivery_mode=DeliveryMode.PERSISTENT,
                message_id=event.id,
                type=event.type,
                app_id=self._app_id,
            )
            confirmed = await exchange.publish(message, routing_key=event.type, mandatory=True)
            # A message that no queue took comes back before it is confirmed.
            unwanted += isinstance(confirmed, DeliveredMessage)
        return unwanted

    async def _opened(self) -> "AbstractExchange":
        # Imported here: it is for those who have a broker.
        import aio_pika

        if self._exchange is None:
            # Not aio-pika's "robust" one, which connects again by itself and without end.
            self._connection = await aio_pika.connect(self._url, timeout=CONNECT_WITHIN.total_seconds())
            channel = await self._connection.channel(publisher_confirms=True)
            self._exchange = await channel.declare_exchange(
                self._exchange_name, aio_pika.ExchangeType.TOPIC, durable=True
            )
        return self._exchange

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # Whatever is wrong with it: it is on its way out.
                async with asyncio.timeout(HANG_UP_WITHIN.total_seconds()):
                    await connection.close()
