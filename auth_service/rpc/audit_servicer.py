"""`auth_api.v1.AuditService`: the audit log."""

from collections.abc import AsyncIterator

from auth_api.v1 import audit_pb2, audit_pb2_grpc

from auth_service.rpc.call import Context


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_pb2.ListAuditEventsResponse:
        raise NotImplementedError

    async def WatchAuditEvents(
        self, request: audit_pb2.WatchAuditEventsRequest, context: Context
    ) -> AsyncIterator[audit_pb2.WatchAuditEventsResponse]:
        if not request.after_event_id:
            raise NotImplementedError
        yield audit_pb2.WatchAuditEventsResponse()
