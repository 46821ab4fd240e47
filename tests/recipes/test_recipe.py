"""Valid recipe files, and the error messages for invalid ones."""

from pathlib import Path

import pytest

from ebt_data.errors import ConfigError
from ebt_recipes.recipe import list_recipes, load_recipe, parse_recipe


def test_every_shipped_recipe_loads_under_its_file_name() -> None:
    assert "pick_place" in list_recipes()
    for name in list_recipes():
        assert load_recipe(name).name == name


def test_a_shipped_recipe_opens_with_the_command_that_runs_it() -> None:
    import ebt_recipes

    for path in (Path(ebt_recipes.__file__).parent / "recipes").glob("*.toml"):
        assert path.read_text().startswith(f"# ebt train {path.stem} ")


def test_a_recipe_in_the_working_directory_takes_precedence_over_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "pick_place.toml").write_text("[act]\nhorizon = 5\n")
    assert load_recipe("pick_place").act.horizon == 5


def test_a_file_overrides_one_default_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nbatch = 7\n")
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.training.batch, recipe.training.learning_rate) == ("mine", 7, 1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nlearning_rte = 1.0", "training.learning_rte: no such key; did you mean learning_rate?"),
        ("[trainig]\nbatch = 1", "trainig: no such key; did you mean training?"),
        ('[objective]\nkind = "equilibrium_matching"\nlevel = 0.1', "did you mean level_weight?"),
        ("[act]\nhorizon = 0", "act.horizon: Input should be greater than or equal to 1 (found 0)"),
        ('[observe]\njoints = ["effort"]', "position must be among the joint readings"),
        ('[objective]\nkind = "flwo"', "'equilibrium_matching', 'unrolled_ebt'"),
        ("[training", "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_rejected_with_the_nearest_valid_one(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe({"name": "x", "act": {"horizn": 3}, "model": {"widht": 3}}, "x.toml")
    assert "horizon" in str(caught.value) and "width" in str(caught.value)


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean pick_place"):
        load_recipe("pick_plaec")


def test_a_resolved_recipe_reads_back_the_same() -> None:
    recipe = load_recipe("pick_place_ebt")
    assert parse_recipe(recipe.model_dump(mode="json"), "copy") == recipe
