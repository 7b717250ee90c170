"""`make rows`: what it takes for a defect."""

from tests.rows import PROMISES, Promise, defects, finished_areas, promises

ROWS = {"B7": Promise("An administrator creates people", "people"), "D2": Promise("nginx", "doors")}


def test_a_row_of_a_finished_area_without_a_test_is_a_defect() -> None:
    assert defects(ROWS, finished=frozenset({"people"}), tests={}) == ["B7: no test proves it"]
    assert defects(ROWS, finished=frozenset({"people"}), tests={"B7": ["tests/test_users.py::test_create"]}) == []


def test_a_mark_that_names_no_row_is_a_defect() -> None:
    assert defects(ROWS, finished=frozenset({"doors"}), tests={"D2": ["one"], "Z1": ["two", "three"]}) == [
        "Z1: no such row, in three, two"
    ]


def test_the_document_can_be_read() -> None:
    text = PROMISES.read_text()

    areas = {each.area for each in promises(text).values()}

    assert areas == {"sign-in", "people", "trust", "doors", "bar"}
    assert finished_areas(text) <= areas
    assert text.count("\n| ") - text.count("\n| row |") == len(promises(text))
