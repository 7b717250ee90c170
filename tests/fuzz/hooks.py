"""What schemathesis loads: a check of ours in place of its own of the same purpose, and who calls."""

import os
import time
from typing import Any

import requests
import schemathesis
from schemathesis import AuthContext, Case, CheckContext, Response

ADDRESS, NAME, PASSWORD = "FUZZ_ADDRESS", "FUZZ_NAME", "FUZZ_PASSWORD"
"""Variables of the environment: where the service is, and an administrator of it."""


@schemathesis.check
def no_defect(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """A 5xx is honest only where it says when to come again."""
    is_honest = response.status_code in (503, 504) and "retry-after" in response.headers
    assert response.status_code < 500 or is_honest, f"{response.status_code} is a defect of ours"


# Among the requests are those that end one's sessions.
@schemathesis.auth(refresh_interval=1)
class Administrator:
    """Signs in again and again."""

    def get(self, _case: Case[Any], _context: AuthContext) -> str:
        credentials = {"username": os.environ[NAME], "password": os.environ[PASSWORD]}
        while True:
            answer = requests.post(f"{os.environ[ADDRESS]}/auth_api.v1.AuthService/Login", json=credentials, timeout=10)
            if answer.status_code != requests.codes.too_many:
                return str(answer.json()["accessToken"])
            time.sleep(int(answer.headers["Retry-After"]))

    def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"
