"""JSON schemas of the contract's messages, by protobuf's JSON mapping, as this service reads and writes it."""

from collections.abc import Mapping
from typing import Any

from auth_service.web.api.contract import Contract, Enum, Field, Message, short_name

Schema = dict[str, Any]

_WHOLE = {"int32": (-(1 << 31), (1 << 31) - 1), "uint32": (0, (1 << 32) - 1)}
_SCALARS: Mapping[str, Schema] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "double": {"type": "number"},
    "float": {"type": "number"},
    # Strings, for there are readers of JSON who lose the last digits of such numbers; read as numbers as well.
    "int64": {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"},
    "uint64": {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"},
    **{
        name: {"type": "integer", "format": name, "minimum": least, "maximum": most}
        for name, (least, most) in _WHOLE.items()
    },
}
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["600s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["displayName,email"]},
}


def schemas(contract: Contract) -> dict[str, Schema]:
    """By the names that `reference` refers to."""
    named: dict[str, Schema] = {}
    for full_name, message in contract.messages.items():
        named[short_name(full_name)] = _message(message)
    for full_name, enum in contract.enums.items():
        named[short_name(full_name)] = _enum(enum)
    return named


def reference(full_name: str) -> Schema:
    """Of a message or an enum."""
    return {"$ref": f"#/components/schemas/{short_name(full_name)}"}


def _message(message: Message) -> Schema:
    told: Schema = {"type": "object", "description": message.comment}
    told["properties"] = {each.json_name: _field(each) for each in message.fields}
    if message.name.endswith("Request"):
        # A field that the request does not have is refused. To responses, fields may be added.
        told["additionalProperties"] = False
    return told


def _field(field: Field) -> Schema:
    one = dict(_one(field))
    if field.key:
        one = {"type": "object", "additionalProperties": one}
    elif field.is_repeated:
        one = {"type": "array", "items": one}
    return {**one, "description": field.comment} if field.comment else one


def _one(field: Field) -> Schema:
    if field.kind == "scalar":
        return _SCALARS[field.type]
    return _WELL_KNOWN.get(field.type) or reference(field.type)


def _enum(enum: Enum) -> Schema:
    meanings = "\n".join(f"- `{each.name}`: {' '.join(each.comment.split())}" for each in enum.values)
    return {
        "type": "string",
        "enum": [each.name for each in enum.values],
        "description": f"{enum.comment}\n\n{meanings}".strip(),
    }
