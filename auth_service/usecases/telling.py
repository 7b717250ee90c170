"""Events about what changed nothing, such as a refusal: they have no transaction to be written in."""

import structlog

from auth_service.domain.audit import AuditEvent
from auth_service.storage import audit
from auth_service.storage.database import Database

log = structlog.get_logger()


async def tell(database: Database, event: AuditEvent) -> None:
    """Write `event`. Whoever is refused hears why, whether it can be written or not."""
    try:
        await database.transaction(lambda connection: audit.add(connection, event))
    except Exception as error:  # noqa: BLE001 -- a refusal stays what it is, whatever keeps us from writing it down
        log.error("audit.not_written", type=event.type, request_id=event.request_id, cause=type(error).__name__)
