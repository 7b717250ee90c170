"""The contract as its descriptors tell it, with the comments of the protos: what documents and pages are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from auth_service.domain.policy import Right

Path = tuple[int, ...]
Kind = Literal["scalar", "message", "enum"]
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
"""Numbers of the fields of FileDescriptorProto, of which the paths of comments begin."""
_FIELDS, _VALUES, _METHODS, _NESTED, _NESTED_ENUMS = 2, 2, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is a scalar's word, such as `int64`, or a full name; `key` that of a map's keys, empty elsewhere."""

    name: str
    json_name: str
    number: int
    kind: Kind
    type: str
    comment: str
    is_repeated: bool = False
    is_optional: bool = False
    key: str = ""
    oneof: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    name: str
    comment: str
    fields: Sequence[Field]


@dataclass(frozen=True, slots=True)
class Value:
    name: str
    number: int
    comment: str


@dataclass(frozen=True, slots=True)
class Enum:
    name: str
    comment: str
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Method:
    """`path` is where it is over HTTP; `request` and `response` are full names of messages."""

    name: str
    path: str
    comment: str
    request: str
    response: str
    is_stream: bool
    right: Right


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    full_name: str
    comment: str
    methods: Sequence[Method]


@dataclass(frozen=True, slots=True)
class Contract:
    """Messages and enums are by their full names; services in the order of their files' names."""

    services: Sequence[Service]
    messages: Mapping[str, Message]
    enums: Mapping[str, Enum]


def read(descriptors: bytes, *, rights: Mapping[str, Right]) -> Contract:
    """`descriptors` are a FileDescriptorSet; `rights` say who may call, by methods' paths."""
    services: list[Service] = []
    messages: dict[str, Message] = {}
    enums: dict[str, Enum] = {}
    for file in FileDescriptorSet.FromString(descriptors).file:
        if file.package.startswith("google."):
            continue
        comments = _comments(file)
        services += [
            _service(each, (_SERVICES, index), file.package, comments, rights)
            for index, each in enumerate(file.service)
        ]
        for index, message in enumerate(file.message_type):
            messages |= _messages(message, (_MESSAGES, index), file.package, comments)
            enums |= _enums(
                message.enum_type, (_MESSAGES, index, _NESTED_ENUMS), f"{file.package}.{message.name}", comments
            )
        enums |= _enums(file.enum_type, (_ENUMS,), file.package, comments)
    return Contract(services, messages, enums)


def short_name(full_name: str) -> str:
    """Of a message or an enum of ours, which no other has."""
    return full_name.removeprefix("auth_api.v1.")


def _comments(file: FileDescriptorProto) -> Mapping[Path, str]:
    return {
        tuple(each.path): "\n".join(line.strip() for line in each.leading_comments.strip().splitlines())
        for each in file.source_code_info.location
        if each.leading_comments
    }


def _service(
    service: ServiceDescriptorProto, path: Path, package: str, comments: Mapping[Path, str], rights: Mapping[str, Right]
) -> Service:
    full_name = f"{package}.{service.name}"
    methods = []
    for index, each in enumerate(service.method):
        address = f"/{full_name}/{each.name}"
        methods.append(
            Method(
                name=each.name,
                path=address,
                comment=comments.get((*path, _METHODS, index), ""),
                request=each.input_type.lstrip("."),
                response=each.output_type.lstrip("."),
                is_stream=each.client_streaming or each.server_streaming,
                right=rights[address],
            )
        )
    return Service(service.name, full_name, comments.get(path, ""), methods)


def _messages(
    message: DescriptorProto, path: Path, package: str, comments: Mapping[Path, str]
) -> Iterator[tuple[str, Message]]:
    """The message and those in it, but for the entries of its maps, which are no messages to anybody but protoc."""
    full_name = f"{package}.{message.name}"
    maps = {f".{full_name}.{each.name}": each for each in message.nested_type if each.options.map_entry}
    fields = [
        _field(each, message, maps, comments.get((*path, _FIELDS, index), ""))
        for index, each in enumerate(message.field)
    ]
    yield full_name, Message(message.name, comments.get(path, ""), fields)
    for index, each in enumerate(message.nested_type):
        if not each.options.map_entry:
            yield from _messages(each, (*path, _NESTED, index), full_name, comments)


def _field(
    field: FieldDescriptorProto, message: DescriptorProto, maps: Mapping[str, DescriptorProto], comment: str
) -> Field:
    entry = maps.get(field.type_name)
    held = entry.field[1] if entry is not None else field
    is_in_oneof = field.HasField("oneof_index") and not field.proto3_optional
    return Field(
        name=field.name,
        json_name=field.json_name,
        number=field.number,
        kind=_kind(held),
        type=_type(held),
        comment=comment,
        is_repeated=entry is None and field.label == FieldDescriptorProto.LABEL_REPEATED,
        is_optional=field.proto3_optional,
        key=_type(entry.field[0]) if entry is not None else "",
        oneof=message.oneof_decl[field.oneof_index].name if is_in_oneof else "",
    )


def _kind(field: FieldDescriptorProto) -> Kind:
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return "message"
    return "enum" if field.type == FieldDescriptorProto.TYPE_ENUM else "scalar"


def _type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.lstrip(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _enums(
    enums: Sequence[EnumDescriptorProto], path: Path, package: str, comments: Mapping[Path, str]
) -> Iterator[tuple[str, Enum]]:
    for index, enum in enumerate(enums):
        place = (*path, index)
        values = [
            Value(each.name, each.number, comments.get((*place, _VALUES, number), ""))
            for number, each in enumerate(enum.value)
        ]
        yield f"{package}.{enum.name}", Enum(enum.name, comments.get(place, ""), values)
