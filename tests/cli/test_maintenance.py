"""The command line about notices of maintenance."""

import json

import pytest

from tests.support.command_line import Command


@pytest.mark.row("A15")
def test_a_notice_is_shown_set_and_cleared(on_both: Command) -> None:
    before = on_both("maintenance", "show")
    made = on_both("maintenance", "set", "Back at noon", "--json")
    other = on_both("maintenance", "show", "--scheduled", "--json")
    shown = on_both("maintenance", "show", "--json")
    cleared = on_both("maintenance", "clear")
    events = on_both("audit", "list", "--event", "notice.changed", "--json")

    assert before.out == "show        no\nmessage     -\nchanged at  -\n"
    assert json.loads(made.out) == json.loads(shown.out)
    assert {**json.loads(made.out), "changed_at": ""} == {"show": True, "message": "Back at noon", "changed_at": ""}
    assert json.loads(other.out) == {"show": False, "message": "", "changed_at": None}
    assert cleared.out.startswith("show        no\nmessage     -\n")
    assert [each["actor_kind"] for each in json.loads(events.out)] == ["operator", "operator"]


def test_a_notice_that_says_nothing_is_refused(run: Command) -> None:
    said = run("maintenance", "set", "")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("auth-service: message: expected what people are told")
