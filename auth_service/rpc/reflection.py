"""Server reflection: under both its names, with methods found by name, and with the comments of our protos.

grpcio-reflection serves v1alpha only (newer clients ask for v1, same messages), does not find a method by its full
name, and tells of descriptors from which protoc has struck the comments.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection, reflection_pb2

from auth_service.rpc.descriptors import descriptors

V1ALPHA = reflection.SERVICE_NAME
V1 = "grpc.reflection.v1.ServerReflection"
_METHOD = "ServerReflectionInfo"


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Tell clients of `services`."""
    handler = grpc.stream_stream_rpc_method_handler(
        _Reflection((*services, V1ALPHA)).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {_METHOD: handler}),))


class _Reflection(reflection.aio.ReflectionServicer):
    def __init__(self, services: Sequence[str]) -> None:
        super().__init__(services)
        self._commented = {
            file.name: file.SerializeToString() for file in FileDescriptorSet.FromString(descriptors()).file
        }
        self._services = frozenset(services)

    async def ServerReflectionInfo(  # type: ignore[override]  # an async generator, which the stubs take for a coroutine
        self, request_iterator: AsyncIterable[reflection_pb2.ServerReflectionRequest], unused_context: Any
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async for request in request_iterator:
            service, _, _method = request.file_containing_symbol.rpartition(".")
            if service in self._services:
                request.file_containing_symbol = service
            answers: Any = super().ServerReflectionInfo(_only(request), unused_context)
            async for response in answers:
                files = response.file_descriptor_response.file_descriptor_proto
                for index, file in enumerate(files):
                    files[index] = self._commented.get(FileDescriptorProto.FromString(file).name, file)
                yield response


async def _only(
    request: reflection_pb2.ServerReflectionRequest,
) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    yield request
