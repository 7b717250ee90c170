"""The call that is being answered, for whoever needs more of it than its message."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc

from auth_service.domain.audit import Origin
from auth_service.domain.consumers import NAME_HEADER, Consumer, ConsumerKind
from auth_service.domain.policy import Caller, PersonCalling

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]
Interceptor = Callable[[str, Handler], Handler]
"""Given a method's full name and what answers it, what answers it instead. Runs once for each method."""


@dataclass(slots=True)
class Call:
    """`caller` is None for a method that anybody may call. `refusal` is the finer reason, for the log and metrics."""

    request_id: str
    address: str = ""
    user_agent: str = ""
    caller: Caller | None = None
    refusal: str = ""


current: ContextVar[Call] = ContextVar("call")


def origin() -> Origin:
    """Where the call comes from, for the audit log."""
    call = current.get()
    return Origin(call.caller, address=call.address, user_agent=call.user_agent, request_id=call.request_id)


def consumer(kind: ConsumerKind, context: Context) -> Consumer:
    """Who takes the key set by this call."""
    call = current.get()
    name = next((str(value) for key, value in context.invocation_metadata() or () if key == NAME_HEADER), "")
    return Consumer.of(kind, address=call.address, user_agent=call.user_agent, name=name)


def current_session_id() -> str:
    """Of the session that the call's access token is of; empty for a service."""
    caller = current.get().caller
    return caller.session_id if isinstance(caller, PersonCalling) else ""
