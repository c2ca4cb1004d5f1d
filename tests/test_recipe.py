"""Recipes: every file is valid, overrides are typed, wrong keys are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurse_lsp.models import MODELS
from nurse_training.recipe import RecipeError, launch_command, parameter_count, read_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_names_its_command(name: str) -> None:
    assert read_recipe(name).name == name
    assert launch_command(name).startswith(f"nurse-train run {name} ")


def test_mini_has_the_parameters_that_the_model_list_says() -> None:
    assert round(parameter_count(read_recipe("mini")), -5) == MODELS["mini"].parameters


def test_overrides_take_the_type_of_their_field() -> None:
    recipe = read_recipe("mini", ["learning_rate=1e-3", "train.max_steps=20", "bf16=false", "hidden_size=64"])
    assert (recipe.train.learning_rate, recipe.train.max_steps, recipe.train.bf16, recipe.model.hidden_size) == (1e-3, 20, False, 64)


@pytest.mark.parametrize(
    "override", ["learning_rates=1", "max_steps", "max_steps=many", "bf16=1", "model.learning_rate=1", "hidden_size=1.5", "optimizer=moun"]
)
def test_a_wrong_override_stops(override: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe("mini", [override])


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match="mini"):
        read_recipe("maxi")


def test_an_unknown_key_in_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: r\ntrain:\n  learningrate: 1\n", "utf-8")
    with pytest.raises(RecipeError, match="learningrate"):
        read_recipe(str(path))
    path.write_text("- 1\n", "utf-8")
    with pytest.raises(RecipeError, match="no recipe"):
        read_recipe(str(path))
