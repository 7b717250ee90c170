"""Requests and responses by protobuf's JSON mapping; whoever errs is told the field and what was expected of it.

The library's own texts are not passed on: they repeat what was sent.
"""

from typing import Any, cast

from auth_client.strict import json_object
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.rpc.errors import MalformedMessage

_REFUSALS = (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError)
_KINDS = {
    FieldDescriptor.CPPTYPE_STRING: "a string",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_INT32: "a whole number",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number, not negative",
    FieldDescriptor.CPPTYPE_INT64: "a whole number, or a string of one",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number, not negative, or a string of one",
}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": 'a moment such as "2026-01-31T12:00:00Z"',
    "google.protobuf.Duration": 'a span such as "90s"',
    "google.protobuf.FieldMask": 'names of fields such as "displayName,email"',
}


def read(body: bytes, request: Message) -> None:
    """Fill `request` from the JSON in `body`; nothing at all stands for an empty object.

    Raises MalformedMessage for what is not a JSON object, InvalidInput for a field that the request does not have or
    that is of another type.
    """
    try:
        members = json_object(body) if body else {}
    except ValueError:
        raise MalformedMessage("a JSON object, in UTF-8, no name in it twice") from None
    try:
        json_format.ParseDict(members, request)
    except _REFUSALS:
        raise InvalidInput(_violation(members, type(request))) from None


def written(response: Message) -> bytes:
    """Fields at their default are left out, and 64-bit integers are strings."""
    return json_format.MessageToJson(response, indent=None, ensure_ascii=False).encode()


def _violation(members: dict[str, Any], kind: type[Message], path: str = "") -> FieldViolation:
    """The first that is wrong. The library refused `members`, so there is one; if none looks so, the whole is named."""
    fields = {name: field for field in kind.DESCRIPTOR.fields for name in (field.json_name, field.name)}
    for name, value in members.items():
        field = fields.get(name)
        if field is None:
            known = ", ".join(sorted(each.json_name for each in kind.DESCRIPTOR.fields))
            return FieldViolation(f"{path}{_short(name)}", f"expected one of {known}" if known else "expected no field")
        if _fits({name: value}, kind):
            continue
        if (
            isinstance(value, dict)
            and field.message_type is not None
            and field.message_type.full_name not in _WELL_KNOWN
        ):
            return _violation(
                value, GetMessageClass(cast("Descriptor", field.message_type)), f"{path}{field.json_name}."
            )
        return FieldViolation(path + field.json_name, f"expected {_expected(cast('FieldDescriptor', field))}")
    return FieldViolation(path.rstrip("."), "expected other fields beside one another")


def _fits(members: dict[str, Any], kind: type[Message]) -> bool:
    try:
        json_format.ParseDict(members, kind())
    except _REFUSALS:
        return False
    return True


def _expected(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        one = "one of " + ", ".join(value.name for value in field.enum_type.values)
    elif field.message_type is not None:
        one = _WELL_KNOWN.get(field.message_type.full_name, "an object")
    else:
        one = _KINDS.get(field.cpp_type, "another type")
    return f"a list, each {one}" if field.is_repeated else one


def _short(name: str) -> str:
    return name if name.isprintable() and len(name) <= 64 else "a field"
