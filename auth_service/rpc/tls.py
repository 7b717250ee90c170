"""TLS whose certificate is read again when its file changes, so that renewing it needs no restart."""

from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

log = structlog.get_logger()


def server_credentials(*, certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """With `client_ca`, clients must show a certificate that it signed (mTLS). Raises OSError."""
    files = tuple(path for path in (certificate, key, client_ca) if path is not None)

    def read() -> grpc.ServerCertificateConfiguration:
        pair = (key.read_bytes(), certificate.read_bytes())
        roots = client_ca.read_bytes() if client_ca is not None else None
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

    return grpc.dynamic_ssl_server_credentials(
        read(),
        _on_change(files, read),  # type: ignore[arg-type]  # the stubs do not know that None means "no change"
        require_client_authentication=client_ca is not None,
    )


def _on_change(
    files: tuple[Path, ...], read: Callable[[], grpc.ServerCertificateConfiguration]
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """What gRPC asks before each handshake: the new configuration, or None to go on with the old one."""
    seen = [_changed_at(files)]

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        try:
            now = _changed_at(files)
            if now == seen[0]:
                return None
            configuration = read()
        except OSError as error:
            log.error("tls.cannot_read", door="grpc", cause=type(error).__name__)
            return None
        seen[0] = now
        log.info("tls.certificate_reloaded", door="grpc")
        return configuration

    return renewed


def _changed_at(files: tuple[Path, ...]) -> tuple[tuple[int, int], ...]:
    # By inode too: what replaces a file may keep its time.
    return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in files))
