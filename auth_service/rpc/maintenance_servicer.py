"""`auth_api.v1.MaintenanceService`: what people are told about maintenance."""

from collections.abc import Mapping

from auth_api.v1 import maintenance_pb2, maintenance_pb2_grpc

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.notices import Notice, NoticeKind
from auth_service.rpc.call import Context, origin
from auth_service.rpc.wire import timestamp
from auth_service.usecases.notices import Notices

_KINDS: Mapping[maintenance_pb2.NoticeKind.ValueType, NoticeKind] = {
    maintenance_pb2.NOTICE_KIND_MAINTENANCE: NoticeKind.MAINTENANCE,
    maintenance_pb2.NOTICE_KIND_SCHEDULED_MAINTENANCE: NoticeKind.SCHEDULED_MAINTENANCE,
}


class MaintenanceServicer(maintenance_pb2_grpc.MaintenanceServiceServicer):
    def __init__(self, *, notices: Notices) -> None:
        self._notices = notices

    async def GetNotices(
        self, request: maintenance_pb2.GetNoticesRequest, context: Context
    ) -> maintenance_pb2.GetNoticesResponse:
        return maintenance_pb2.GetNoticesResponse(
            **{kind.value: _message(notice) for kind, notice in self._notices.told.items()}
        )

    async def SetNotice(
        self, request: maintenance_pb2.SetNoticeRequest, context: Context
    ) -> maintenance_pb2.SetNoticeResponse:
        kind = _KINDS.get(request.kind)
        if kind is None:
            expected = " or ".join(maintenance_pb2.NoticeKind.Name(number) for number in sorted(_KINDS))
            raise InvalidInput(FieldViolation("kind", f"expected {expected}"))
        notice = await self._notices.put(kind, is_shown=request.show, message=request.message, origin=origin())
        return maintenance_pb2.SetNoticeResponse(notice=_message(notice))


def _message(notice: Notice) -> maintenance_pb2.Notice:
    return maintenance_pb2.Notice(show=notice.is_shown, message=notice.message, changed_at=timestamp(notice.changed_at))
