"""The benchmark of policies in short: every method can be trained, cut at both points and evaluated."""

from pathlib import Path

import pytest

from benchmarks.policies.compare import (
    FIRST_SEED,
    Cell,
    Job,
    ResultFile,
    methods_sampling,
    print_tables,
    train_and_evaluate,
)
from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.worlds.registry import ARENAS


@pytest.mark.parametrize("method", [ENERGY, "annealed energies", "regression", "MIP", "flow"])
def test_a_method_is_trained_to_both_cuts_and_evaluated_with_each_number_of_steps(method: str) -> None:
    cells = train_and_evaluate(Job("fork", method, seed=0, updates=2, time_s=1e-6, rollouts=2))
    assert [(cell.cut, cell.method, cell.steps) for cell in cells] == [
        (cut, name, "adaptive" if steps is None else str(steps))
        for cut in ("time", "updates")
        for name in methods_sampling(method)
        for steps in METHODS[name].steps
    ]
    assert {cell.updates for cell in cells if cell.cut == "updates"} == {2}
    assert {cell.updates for cell in cells if cell.cut == "time"} == {1}
    assert all(cell.rollouts == 2 and cell.steps_used <= 8 for cell in cells if cell.method == ENERGY)


def test_nothing_is_reported_on_seeds_that_tuning_used() -> None:
    assert FIRST_SEED >= 100_000


def test_an_arena_gives_all_methods_the_same_encoder_network_and_execution() -> None:
    arena = ARENAS["peg_insert"]()
    recipes = [arena.recipe(method.objective) for method in METHODS.values()]
    shared = {recipe.model_dump_json(exclude={"objective"}) for recipe in recipes}
    assert len(shared) == 1


def test_the_energy_is_trained_once_for_every_step_size_rule() -> None:
    assert methods_sampling(ENERGY) == [ENERGY, "energy, fixed steps"]
    assert methods_sampling("flow") == ["flow"]


def test_a_comparison_resumes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    cell = Cell("fork", "energy, fixed steps", 1, "updates", 2, 0.5, "4", 1, 2, 4.0, 0.0)
    ResultFile(path).add([cell])
    again = ResultFile(path)
    assert again.cells_of(Job("fork", ENERGY, 1, 2, 0.0, 2)) == [cell]
    others = [
        ("sort", 1, 2, 0.0, 2),
        ("fork", 0, 2, 0.0, 2),
        ("fork", 1, 3, 0.0, 2),
        ("fork", 1, 2, 9.0, 2),
        ("fork", 1, 2, 0.0, 5),
    ]
    for task, seed, updates, time_s, rollouts in others:
        assert not again.cells_of(Job(task, ENERGY, seed, updates, time_s, rollouts)), "another job"


def test_a_table_has_a_row_for_each_method_and_a_column_for_each_number_of_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cells(method: str, cut: str, steps: str, *successes: int) -> list[Cell]:
        return [Cell("fork", method, n, cut, 10, 1.0, steps, won, 20, 2.5, 0.0) for n, won in enumerate(successes)]

    print_tables(
        "fork",
        [
            *cells("flow", "updates", "9", 10, 20),
            *cells("flow", "time", "9", 20, 20),
            *cells(ENERGY, "updates", "2", 19, 17),
            *cells(ENERGY, "updates", "adaptive", 20, 20),
        ],
    )
    assert capsys.readouterr().out.strip().splitlines() == [
        "| fork, equal updates | updates | 2 | 9 | adaptive | by training seed |",
        "| --- | --- | --- | --- | --- | --- |",
        "| energy | 10 | 90.0 (77-96) |  | 100.0 (91-100), 2.5 | 100 / 100 |",
        "| flow | 10 |  | 75.0 (60-86) |  | 50 / 100 |",
        "",
        "| fork, equal time | updates | 2 | 9 | adaptive | by training seed |",
        "| --- | --- | --- | --- | --- | --- |",
        "| energy | 10 | 90.0 (77-96) |  | 100.0 (91-100), 2.5 | 100 / 100 |",
        "| flow | 10 |  | 100.0 (91-100) |  | 100 / 100 |",
    ]
