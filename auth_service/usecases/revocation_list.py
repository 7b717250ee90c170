"""What is revoked as a document, for gateways that fetch and cannot follow a stream. The same at every replica."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from auth_service.usecases.revoked import RevokedSessions, by_minute
from auth_service.usecases.signing import SigningKeys

AT_ONCE = 10_000
"""Sessions, before other calls get their turn."""
PAUSE_PER_MAKING, LONGEST_PAUSE = 20, 0.5
"""A new one is made after so many times what the last one took, at most seconds: however often sessions end."""


@dataclass(frozen=True, slots=True)
class RevocationDocument:
    document: bytes
    etag: str


class RevocationList:
    def __init__(self, revoked: RevokedSessions, keys: SigningKeys, *, monotonic: Callable[[], float]) -> None:
        self._revoked = revoked
        self._keys = keys
        self._monotonic = monotonic
        self._made: RevocationDocument | None = None
        self._made_of = (-1, "")
        self._good_until = 0.0
        self._making = asyncio.Lock()

    async def current(self) -> RevocationDocument:
        """Raises DatabaseUnavailable until the sessions were read, SigningUnavailable until there are keys."""
        async with self._making:
            began = self._monotonic()
            is_of = self._revoked.changes, self._keys.published().etag
            if self._made is None or (self._made_of != is_of and began >= self._good_until):
                self._made_of = is_of
                self._made = await self._document()
                took = self._monotonic() - began
                self._good_until = began + min(took * PAUSE_PER_MAKING, LONGEST_PAUSE)
            return self._made

    async def _document(self) -> RevocationDocument:
        ended, kids = self._revoked.all(), sorted(self._keys.published().revoked_kids)
        groups: dict[datetime, list[str]] = {}
        for first in range(0, len(ended), AT_ONCE):
            for until, session_ids in by_minute(ended[first : first + AT_ONCE]).items():
                groups.setdefault(until, []).extend(session_ids)
            await asyncio.sleep(0)
        parts = []
        for until in sorted(groups):
            # In an order that does not depend on who learnt it first: then so does the ETag.
            group = {"until": int(until.timestamp()), "session_ids": sorted(groups[until])}
            parts.append(json.dumps(group, separators=(",", ":")))
            await asyncio.sleep(0)
        told = json.dumps(kids, separators=(",", ":"))
        document = f'{{"revoked_sessions":[{",".join(parts)}],"revoked_kids":{told}}}'.encode()
        return RevocationDocument(document, hashlib.sha256(document).hexdigest()[:32])
