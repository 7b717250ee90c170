"""Loopback ports that nobody else is handed in the meantime."""

import socket


def reserve_port(port: int = 0) -> socket.socket:
    """A socket bound to a loopback port but not listening: whoever connects is refused, until a server listens there.

    While it is open the kernel gives the port to nobody else, neither to bind(0) nor to an outgoing connection, yet a
    server that sets SO_REUSEADDR (PostgreSQL, PgBouncer, asyncio, gRPC) may still listen on it by number.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


def port_of(held: socket.socket) -> int:
    port = held.getsockname()[1]
    assert isinstance(port, int)
    return port


def free_port() -> int:
    """A loopback port free at this moment; prefer `reserve_port` where somebody else may race for it."""
    with reserve_port() as held:
        return port_of(held)
