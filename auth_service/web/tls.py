"""TLS for the HTTP edge: its certificate is read again when its file changes, so that renewing it needs no restart."""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger()


def server_context(*, certificate: Path, key: Path) -> ssl.SSLContext:
    """Each handshake is given the certificate as its file is then. Raises OSError, ssl.SSLError."""
    current = [_context(certificate, key)]
    seen = [_changed_at(certificate, key)]

    def renew(connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        try:
            now = _changed_at(certificate, key)
            if now != seen[0]:
                current[0], seen[0] = _context(certificate, key), now
                log.info("tls.certificate_reloaded", door="http")
        except OSError as error:
            # Half replaced: the former pair serves until both files are there and fit.
            log.error("tls.cannot_read", door="http", cause=type(error).__name__)
        connection.context = current[0]

    # Asked at each handshake, also of clients that send no name.
    first = _context(certificate, key)
    first.sni_callback = renew
    return first


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _changed_at(*files: Path) -> tuple[tuple[int, int], ...]:
    return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in files))
