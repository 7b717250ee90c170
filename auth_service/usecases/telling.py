"""Events about what changed nothing, such as a refusal: they have no transaction to be written in."""

import structlog

from auth_service.domain.audit import AuditEvent
from auth_service.domain.errors import Exhausted, Unavailable
from auth_service.storage import audit
from auth_service.storage.database import Database

log = structlog.get_logger()


async def tell(database: Database, event: AuditEvent) -> None:
    """Write `event`. Whoever is refused hears why, whether it can be written or not."""
    try:
        await database.transaction(lambda connection: audit.add(connection, event))
    except (Unavailable, Exhausted) as error:
        log.warning("audit.not_written", type=event.type, request_id=event.request_id, cause=error.reason)
