"""Writes the TypeScript stubs of our protos into a folder: src/generated unless another is named. `npm run generate`.

protoc comes with grpcio-tools, which the repository's `.venv` has; the plugin with `npm ci`.
"""

import sys
from pathlib import Path

import google.rpc
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[1] / "protos"
GOOGLE = Path(google.rpc.__path__[0]).parents[1]
STANDARD = Path(protoc.__file__).parent / "_proto"
# What the library calls, and how the service says no.
FILES = (
    "auth_api/v1/auth.proto",
    "auth_api/v1/permission.proto",
    "auth_api/v1/trust.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
)


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return protoc.main(
        [
            "protoc",
            *(f"-I{path}" for path in (PROTOS, GOOGLE, STANDARD)),
            f"--plugin=protoc-gen-es={HERE / 'node_modules/.bin/protoc-gen-es'}",
            f"--es_out={folder}",
            "--es_opt=target=ts,import_extension=js",
            *FILES,
        ]
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "src" / "generated"))
