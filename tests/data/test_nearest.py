import pytest

from ebt_data.nearest import nearest

BENCHES = ("koch", "omx", "twin", "twin_live", "twin_state")


@pytest.mark.parametrize(("typed", "meant"), [("kohc", "koch"), ("Koch", "koch"), ("twn", "twin"), ("omx1", "omx")])
def test_a_misspelt_name_is_recognised(typed: str, meant: str) -> None:
    assert nearest(typed, BENCHES) == meant


@pytest.mark.parametrize("typed", ["nosuch", "aloha", "bench", "", "x", "kitchen"])
def test_a_name_unlike_all_others_gets_no_suggestion(typed: str) -> None:
    assert nearest(typed, BENCHES) == ""


def test_the_beginning_of_one_name_is_enough() -> None:
    assert nearest("peg", ("pick_place", "peg_insert")) == "peg_insert"
    assert nearest("twin_", BENCHES) in ("twin", "twin_live")
