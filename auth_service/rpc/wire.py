"""Moments, spans of time and field masks, from and to the wire."""

from collections.abc import Collection
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.errors import FieldViolation, InvalidInput


def timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def duration(span: timedelta) -> Duration:
    made = Duration()
    made.FromTimedelta(span)
    return made


def paths_in(mask: FieldMask, *, allowed: Collection[str]) -> frozenset[str]:
    """The fields that `mask` names. Raises InvalidInput for none, and for any that is not in `allowed`."""
    paths = frozenset(mask.paths)
    if not paths or paths - frozenset(allowed):
        raise InvalidInput(FieldViolation("update_mask", f"expected some of {', '.join(sorted(allowed))}"))
    return paths
