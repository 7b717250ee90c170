"""Logs, metrics and traces, set up once. No password, token, cookie or key passes through here (row A18)."""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
import structlog.tracebacks
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LAST_SPANS_WITHIN = timedelta(seconds=5)

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?")
_REFRESH_TOKEN = re.compile(r"rt1\.[A-Za-z0-9_-]{16,}")
_SECRET_NAMES = frozenset({"password", "token", "access_token", "refresh_token", "authorization", "cookie", "secret"})
_STRUCK_OUT = "********"
# Control characters and the line ends of Unicode: whatever a terminal or a log reader takes for more than text.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure_logging(*, level: str, style: str, stream: TextIO | None = None) -> None:
    """`style` is json, console, or auto: console on a terminal, one JSON object a line elsewhere."""
    stream = stream or sys.stderr
    is_pretty = style == "console" or (style == "auto" and stream.isatty())
    lines = _Unbreakable(stream)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [without_secrets, _on_one_line, structlog.dev.ConsoleRenderer(exception_formatter=_plain_traceback)]
        if is_pretty
        else [
            # Without the local variables that structlog adds by default: passwords are among them.
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            without_secrets,
            structlog.processors.JSONRenderer(separators=(",", ":")),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", lines)),
        cache_logger_on_first_use=True,
    )
    # What libraries say comes out in the same form.
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    # gRPC quotes metadata that is not UTF-8, API keys among it, with a traceback, for each such call of any stranger.
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_quotation)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.getLevelName(level.upper()), logging.WARNING))


def _is_no_quotation(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Invalid encoding on")


class _Unbreakable:
    """A stream for log lines that a full disk, or a reader who left, does not turn into a failing request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def without_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last net: values named like a secret, and anything that looks like one of our tokens, are struck out."""
    for name, value in event.items():
        event[name] = _STRUCK_OUT if name in _SECRET_NAMES else _scrubbed(value)
    return event


def _scrubbed(value: Any) -> Any:
    match value:
        # Looking for the first letters is ten times cheaper than asking the expressions.
        case str() if "eyJ" in value or "rt1." in value:
            return _REFRESH_TOKEN.sub(f"rt1.{_STRUCK_OUT}", _JWT.sub(_STRUCK_OUT, value))
        case dict():
            return {name: _STRUCK_OUT if name in _SECRET_NAMES else _scrubbed(each) for name, each in value.items()}
        case list():
            return [_scrubbed(each) for each in value]
    return value


def _on_one_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Nobody forges a line by a line end in a value. JSON escapes by itself; for a terminal this does."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return event


def _plain_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    stream.write("\n" + _scrubbed("".join(traceback.format_exception(*error))).rstrip())


class _Counted(Collector):
    """A counter that somebody else keeps."""

    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name, self._text, self._value = name, text, value

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=self._value())


class Metrics:
    """What Prometheus scrapes. One registry for each service, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter("auth_grpc_requests_total", "Calls answered.", ["method", "code"], registry=self.registry)
        self._seconds = Histogram(
            "auth_grpc_request_seconds",
            "How long calls took.",
            ["method"],
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self._refusals = Counter(
            "auth_refusals_total", "Calls refused, by the finer reason.", ["method", "reason"], registry=self.registry
        )
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, code: str, seconds: float, reason: str) -> None:
        """One call. `method` is the full name; only methods that we serve get here."""
        found = self._known.get((method, code))
        if found is None:
            found = (self._calls.labels(method, code), self._seconds.labels(method))
            self._known[(method, code)] = found
        found[0].inc()
        found[1].observe(seconds)
        if reason:
            self._refusals.labels(method, reason).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is asked for at each scrape."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def counter(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that only grows, asked for at each scrape; Prometheus reads it as `<name>_total`."""
        self.registry.register(_Counted(name, text, value))

    def exposition(self) -> tuple[bytes, str]:
        """The page and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Tracing:
    """OpenTelemetry traces, sent to `endpoint` (OTLP over gRPC)."""

    def __init__(self, *, endpoint: str, service_version: str) -> None:
        # Imported here: it costs 30 MB and a quarter of a second, which nobody pays who has no collector.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "auth-service", "service.version": service_version})
        self._provider: TracerProvider = TracerProvider(resource=resource)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"), timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer: Tracer = self._provider.get_tracer("auth_service")

    def close(self) -> None:
        """Send what is left. Blocks for as long as the collector takes, at most `LAST_SPANS_WITHIN`."""
        # Left to itself it gives each of several batches its time, one after the other.
        out_of_time = threading.Timer(LAST_SPANS_WITHIN.total_seconds(), self._exporter.shutdown)
        out_of_time.start()
        try:
            self._provider.shutdown()
        finally:
            out_of_time.cancel()
