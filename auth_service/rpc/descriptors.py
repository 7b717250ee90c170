"""The contract as a FileDescriptorSet, with imports and comments: protoc strikes the comments from generated code."""

from importlib import resources


def descriptors() -> bytes:
    """From the package, at each call."""
    return resources.files("auth_api").joinpath("descriptors.binpb").read_bytes()
