"""That a reserved port is ours, and that servers can still use it."""

import socket

import grpc
import pytest

from tests.support.ports import free_port, port_of, reserve_port


async def test_a_reserved_port_refuses_clients_until_a_grpc_server_listens_on_it() -> None:
    with reserve_port() as held:
        address = ("127.0.0.1", port_of(held))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

        server = grpc.aio.server()
        server.add_insecure_port(f"127.0.0.1:{port_of(held)}")
        await server.start()

        socket.create_connection(address).close()
        await server.stop(None)


def test_a_free_port_can_be_bound() -> None:
    port = free_port()

    with reserve_port(port) as held:
        assert port_of(held) == port
