"""A log that cannot be written fails nothing, and nobody's metadata gets into it."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from auth_service.telemetry import configure_logging
from tests.support.service import captured_logs


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(name="full_disk")
def a_log_on_a_full_disk() -> Iterator[None]:
    root = logging.getLogger()
    handlers, threshold = list(root.handlers), root.level
    configure_logging(level="debug", style="json", stream=FullDisk())
    structlog.configure(cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(threshold)


@pytest.mark.usefixtures("full_disk")
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    structlog.get_logger().info("login", session="1")
    logging.getLogger("somebody.else").error("a library's line")


def test_metadata_that_is_not_utf8_is_not_quoted() -> None:
    with captured_logs() as logs:
        grpc_log = logging.getLogger("grpc._cython.cygrpc")
        grpc_log.error("Invalid encoding on %r", b"Bearer my-api-key\xff")
        grpc_log.error("something else")

    assert "my-api-key" not in logs.text
    assert "something else" in logs.text
