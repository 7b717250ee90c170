"""`auth_api.v1.AuditService`: the audit log."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from auth_api.v1 import audit_pb2, audit_pb2_grpc

from auth_service.domain.audit import types_named
from auth_service.domain.identifiers import uuid_in
from auth_service.rpc.audit_messages import event_message, filter_in
from auth_service.rpc.call import Context
from auth_service.usecases.audit_log import AuditLog


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    def __init__(self, *, audit_log: AuditLog) -> None:
        self._audit_log = audit_log

    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_pb2.ListAuditEventsResponse:
        page = await self._audit_log.page(
            filter_in(request), page_size=request.page_size, page_token=request.page_token
        )
        return audit_pb2.ListAuditEventsResponse(
            events=[event_message(each) for each in page.events], next_page_token=page.next_page_token
        )

    async def WatchAuditEvents(
        self, request: audit_pb2.WatchAuditEventsRequest, context: Context
    ) -> AsyncIterator[audit_pb2.WatchAuditEventsResponse]:
        after = uuid_in(request.after_event_id, field="after_event_id") if request.after_event_id else None
        events = self._audit_log.follow(after=after, types=types_named(request.type))
        async with aclosing(events):
            async for event in events:
                yield audit_pb2.WatchAuditEventsResponse(event=event_message(event) if event else None)
