"""A server span for each call, child of the caller's `traceparent`. Only where traces are collected."""

from typing import TYPE_CHECKING

import grpc

from auth_service.rpc.call import Context, Handler, Interceptor

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def tracing(tracer: "Tracer") -> Interceptor:
    """A refusal marks its span as an error; its message stays out of it."""
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    def traced(method: str, handler: Handler) -> Handler:
        service, _, name = method.strip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

        async def answer(request: object, context: Context) -> object:
            carrier = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            with tracer.start_as_current_span(
                f"{service}/{name}",
                context=extract(carrier),
                kind=SpanKind.SERVER,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    return await handler(request, context)
                except grpc.aio.AbortError:
                    code = context.code()
                    span.set_attribute("rpc.grpc.status_code", code if isinstance(code, int) else code.value[0])
                    span.set_status(Status(StatusCode.ERROR))
                    raise

        return answer

    return traced
