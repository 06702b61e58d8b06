"""A plugin for buf: messages, their types and stubs as grpc_tools makes them, and an `__init__` that has them all.

grpc_tools has its generators within, where buf cannot reach them: it knows plugins as programs of their own.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Every file that the request asks for."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    with tempfile.TemporaryDirectory() as work:
        descriptors, out = Path(work, "descriptors"), Path(work, "out")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out.mkdir()
        arguments = [f"--{name}_out={out}" for name in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", f"--descriptor_set_in={descriptors}", *arguments, *request.file_to_generate]):
            sys.exit("protoc failed")
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())
    wanted = set(request.file_to_generate)
    for name, content in initializers(file for file in request.proto_file if file.name in wanted):
        response.file.add(name=name, content=content)
    return response


def initializers(files: Iterator[FileDescriptorProto]) -> Iterator[tuple[str, str]]:
    """One `__init__.py` for each package, by which all names of its files can be imported from it."""
    lines = defaultdict(list)
    for file in files:
        folder, _, stem = file.name.removesuffix(".proto").rpartition("/")
        messages = [*file.enum_type, *file.message_type]
        values = [value for enum in file.enum_type for value in enum.value]
        stubs = [f"{service.name}{kind}" for service in file.service for kind in ("Servicer", "Stub")]
        stubs += [f"add_{service.name}Servicer_to_server" for service in file.service]
        modules = {"pb2": [named.name for named in (*messages, *values)], "pb2_grpc": stubs}
        for suffix, names in modules.items():
            # `X as X` tells type checkers that X is meant to be imported from here.
            lines[folder] += [f"from .{stem}_{suffix} import {name} as {name}\n" for name in sorted(names)]
    for folder, imports in lines.items():
        yield f"{folder}/__init__.py", '"""All messages and stubs."""\n\n' + "".join(imports)


if __name__ == "__main__":
    sys.stdout.buffer.write(generate(CodeGeneratorRequest.FromString(sys.stdin.buffer.read())).SerializeToString())
