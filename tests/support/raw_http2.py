"""HTTP/2 by hand, without TLS: each header in a field of its own, as browsers send their cookies."""

import asyncio
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.raw_http import Headers, Reply

_PATIENCE = 20.0


async def send(address: str, target: str, *, method: str = "GET", headers: Headers = ()) -> Reply:
    """On a connection of its own. Status 0 where the connection or the stream ends without an answer."""
    host, _, port = address.rpartition(":")
    settings = h2.config.H2Configuration(
        client_side=True,
        # What comes in is sent as it is, right or wrong.
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        split_outbound_cookies=False,
    )
    connection = h2.connection.H2Connection(settings)
    own = [(":method", method), (":scheme", "http"), (":authority", address), (":path", target)]
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            connection.initiate_connection()
            connection.send_headers(1, [*own, *headers], end_stream=True)
            return await _read(reader, writer, connection)
        except (ConnectionError, h2.exceptions.ProtocolError):
            return Reply(0, [], b"")
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Any) -> Reply:
    status, told, body = 0, list[tuple[str, str]](), b""
    while True:
        writer.write(connection.data_to_send())
        data = await reader.read(65536)
        if not data:
            return Reply(0, [], b"")
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                told = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
                status = int(dict(told)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                return Reply(status, [each for each in told if not each[0].startswith(":")], body)
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                return Reply(0, [], b"")
