"""Moments, spans of time and field masks, from and to the wire."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.errors import AlreadyExists, FieldViolation, InvalidInput


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


@contextmanager
def inside(message: str, fields: Collection[str]) -> Iterator[None]:
    """What is wrong with one of `fields` is named by its path in the request: `user.email`."""

    def at_its_path(violation: FieldViolation) -> FieldViolation:
        if violation.field not in fields:
            return violation
        return FieldViolation(f"{message}.{violation.field}", violation.expected)

    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(*map(at_its_path, error.violations)) from error
    except AlreadyExists as error:
        raise AlreadyExists(at_its_path(error.violations[0])) from error


def paths_in(mask: FieldMask, *, allowed: Collection[str]) -> frozenset[str]:
    """The fields that `mask` names. Raises InvalidInput for none, and for any that is not in `allowed`."""
    paths = frozenset(mask.paths)
    if not paths or paths - frozenset(allowed):
        raise InvalidInput(FieldViolation("update_mask", f"expected some of {', '.join(sorted(allowed))}"))
    return paths
