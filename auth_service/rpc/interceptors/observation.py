"""Sees how each call ended: for the metrics, and for one line in the access log."""

import asyncio
from collections.abc import Callable
from time import perf_counter

import grpc
import structlog

from auth_service.domain.policy import Caller, PersonCalling, ServiceCalling
from auth_service.rpc.call import Context, Handler, Interceptor, current

Observe = Callable[[str, str, float, str], None]
"""Takes the method's full name, the status code's name, seconds, and the finer reason of a refusal or ""."""


def observation(observe: Observe) -> Interceptor:
    """Every refusal is a line in the log; a good call is one at `debug` only, for there are many."""

    def observed(method: str, handler: Handler) -> Handler:
        # Bound once: finding out that nothing is written at `debug` would cost more than the method's metrics.
        log = structlog.get_logger("access").bind()
        # A stranger may have one such line for each call: it is short.
        name = method.rpartition(".")[2]

        async def answer(request: object, context: Context) -> object:
            began = perf_counter()
            code = "UNKNOWN"
            try:
                response = await handler(request, context)
                code = "OK"
                return response
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = _name(context)
                raise
            finally:
                seconds = perf_counter() - began
                call = current.get()
                observe(method, code, seconds, call.refusal)
                if code != "OK":
                    told = {"method": name, "code": code, "reason": call.refusal}
                    # A caller who is known, and tries what they may not: somebody may ask who it was (ASVS 16.3.2).
                    if code == "PERMISSION_DENIED":
                        told |= {"by": _who(call.caller), "address": call.address}
                    log.info("rpc", **told, ms=round(seconds * 1000, 1))
                else:
                    log.debug("rpc", method=name, code=code, ms=round(seconds * 1000, 1))

        return answer

    return observed


def _who(caller: Caller | None) -> str:
    match caller:
        case PersonCalling(person_id=person_id):
            return str(person_id)
        case ServiceCalling(name=name):
            return name
    return ""


def _name(context: Context) -> str:
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else str(code)
