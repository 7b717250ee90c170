"""Promises that hold between files: the error tree, the reasons of the contract, and the tables of both doors."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from auth_api.v1 import errors_pb2

from auth_service.domain import errors as domain
from auth_service.rpc import errors as rpc_errors
from auth_service.rpc import permissions
from auth_service.rpc import server as rpc_server
from auth_service.web import errors as web_errors

PROTOS = Path(errors_pb2.__file__).parent


def tree(root: type[domain.AuthError] = domain.AuthError) -> Iterator[type[domain.AuthError]]:
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


ERRORS = [error for error in tree() if error.__module__.startswith("auth_service.")]
LEAVES = [error for error in ERRORS if error.reason != domain.AuthError.reason]
OF_THE_WIRE_ONLY = {"MALFORMED_MESSAGE", "DEADLINE_EXCEEDED"}
TOKEN_REASONS = {"TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED"}


def in_contract() -> dict[str, str]:
    """Each reason of errors.proto, and the status that its comment begins with."""
    text = (PROTOS / "errors.proto").read_text()
    found = re.findall(r"((?:  //.*\n)+)  ERROR_REASON_(\w+) = \d+;", text)
    comments = {reason: comment.strip().removeprefix("// ") for comment, reason in found}
    return {reason: re.split(r"[.,]", comment)[0] for reason, comment in comments.items() if reason != "UNSPECIFIED"}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_tree_has_a_status_at_both_doors(error: type[domain.AuthError]) -> None:
    an_error = error.__new__(error)

    assert rpc_errors.status_of(an_error)
    if error.reason not in OF_THE_WIRE_ONLY:
        assert web_errors.status_of(an_error)


def test_every_reason_in_the_code_is_in_the_contract_and_the_reverse() -> None:
    sent = {error.reason for error in ERRORS} | TOKEN_REASONS | {domain.AuthError.reason}

    assert sent == in_contract().keys()
    assert {f"ERROR_REASON_{reason}" for reason in sent} == set(errors_pb2.ErrorReason.keys()) - {
        "ERROR_REASON_UNSPECIFIED"
    }


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_the_status_of_a_reason_is_what_the_contract_says(error: type[domain.AuthError]) -> None:
    assert rpc_errors.status_of(error.__new__(error)).name == in_contract()[error.reason]


def test_tables_hold_no_error_that_is_not_in_the_tree() -> None:
    assert set(rpc_errors.STATUS) <= set(ERRORS)
    assert set(web_errors.STATUS) <= set(ERRORS)


def test_every_served_method_has_a_row_and_every_row_a_method() -> None:
    extra = {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}

    assert set(permissions.PERMISSIONS) == set(rpc_server.served_methods()) | extra


@pytest.mark.parametrize("proto", sorted(PROTOS.glob("*.proto")), ids=lambda path: path.name)
def test_every_name_of_the_contract_is_explained_to_its_reader(proto: Path) -> None:
    lines = proto.read_text().splitlines()
    named = re.compile(r"\s*(message|service|rpc|enum|optional|repeated|[\w.]+ \w+ = \d+;|[A-Z_]+ = \d+;)")

    bare = [
        line.strip()
        for above, line in pairwise(lines)
        if named.match(line) and not above.strip().startswith("//") and not line.startswith(("syntax", "option"))
    ]

    assert bare == []
