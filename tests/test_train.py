"""A run from nothing to a checkpoint folder, small enough for every test run; and that a resumed one ends where it would have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, TrainerControl, TrainerState, TrainingArguments
from typer.testing import CliRunner

from nurse_training.card import write_checkpoint
from nurse_training.cli import app
from nurse_training.commands.corpus import synthetic_data
from nurse_training.phrasebank import read_bank
from nurse_training.prepare import Prepared
from nurse_training.recipe import Recipe, read_recipe
from nurse_training.rows import IGNORED, PackedRows
from nurse_training.schedule import RunClock, Schedule
from nurse_training.train import Interrupted, run

TINY = (
    "notes=40 validation_notes=10 ngram_notes=0 vocab_size=600 block_size=128 hidden_size=32 num_hidden_layers=2 num_attention_heads=4 "
    "num_key_value_heads=2 intermediate_size=48 per_device_train_batch_size=4 gradient_accumulation_steps=1 max_steps=6 "
    "eval_steps=3 save_steps=3 bf16=false torch_compile=false"
).split()
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """`mini`, cut down to seconds."""
    return read_recipe("mini", list(TINY))


@pytest.fixture(scope="module")
def data(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Forty synthetic notes, prepared."""
    return synthetic_data(recipe, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(recipe: Recipe, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LlamaForCausalLM]:
    """An uninterrupted run and its folder."""
    out = tmp_path_factory.mktemp("whole")
    model, scores = run(recipe, data, out, lambda _line: None)
    weights = LlamaForCausalLM(model.config)
    weights.load_state_dict(model.state_dict())
    write_checkpoint(model, recipe, data, out, "nurse-train run mini", scores, 6)
    return out, weights


def test_the_checkpoint_folder_loads_and_says_what_it_is(trained: tuple[Path, LlamaForCausalLM], data: Prepared) -> None:
    out, weights = trained
    card = json.loads((out / "nurse.json").read_text("utf-8"))
    assert {
        "name",
        "base",
        "recipe",
        "command",
        "parameters",
        "context",
        "licence",
        "data",
        "split",
        "scores",
        "marks",
        "thresholds",
        "made",
    } <= set(card)
    assert card["data"]["fingerprint"] == data.manifest["fingerprint"] and card["scores"]["validation_loss"] > 0
    assert json.loads((out / "config.json").read_text("utf-8"))["use_cache"] is True
    model = AutoModelForCausalLM.from_pretrained(out)
    assert torch.equal(model.model.embed_tokens.weight, model.lm_head.weight)
    ids = torch.arange(20)[None]
    expected = weights.eval()(input_ids=ids).logits
    assert torch.allclose(model(input_ids=ids).logits.float(), expected, atol=0.05)
    assert Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab_size() == model.config.vocab_size
    assert "no real patient" in (out / "README.md").read_text("utf-8").lower()


def test_tied_weights_are_stored_once_in_bf16(trained: tuple[Path, LlamaForCausalLM]) -> None:
    with safe_open(trained[0] / "model.safetensors", "pt") as stored:
        names = list(stored.keys())
        assert not ("lm_head.weight" in names and "model.embed_tokens.weight" in names)
        assert {stored.get_slice(name).get_dtype() for name in names} == {"BF16"}


def test_the_log_is_jsonl_and_the_loss_falls(trained: tuple[Path, LlamaForCausalLM]) -> None:
    lines = [json.loads(line) for line in (trained[0] / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    losses = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert len(losses) == 2 and losses[1] < losses[0]


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    recipe: Recipe, data: Prepared, trained: tuple[Path, LlamaForCausalLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_step_end = RunClock.on_step_end

    def interrupt(self: RunClock, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: object) -> None:
        self.interrupted = state.global_step == 4
        real_step_end(self, args, state, control, **rest)

    monkeypatch.setattr(RunClock, "on_step_end", interrupt)
    with pytest.raises(Interrupted, match="step 4"):
        run(recipe, data, tmp_path, lambda _line: None)
    monkeypatch.undo()
    model, _ = run(recipe, data, tmp_path, lambda _line: None)
    for name, tensor in trained[1].state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].float()), name


def test_a_run_folder_of_other_settings_is_refused(data: Prepared, trained: tuple[Path, LlamaForCausalLM]) -> None:
    with pytest.raises(ValueError, match=r"train\.learning_rate"):
        run(read_recipe("mini", [*TINY, "learning_rate=0.1"]), data, trained[0], lambda _line: None)


def test_notes_of_a_row_do_not_see_each_other() -> None:
    rows = np.array([[0, 5, 6, 1, 0, 7, 8, 9, 1, 1, 1, 1]], dtype=np.uint16)
    item = PackedRows(rows, begin=0, end=1)[0]
    assert item["position_ids"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]
    assert item["labels"].tolist() == [IGNORED, 5, 6, 1, IGNORED, 7, 8, 9, 1, IGNORED, IGNORED, IGNORED]
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=12, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=16)
    ).eval()
    packed = model(input_ids=item["input_ids"][None], position_ids=item["position_ids"][None], use_cache=False).logits[0, 4:9]
    alone = model(input_ids=item["input_ids"][None, 4:9]).logits[0]
    assert torch.allclose(packed, alone, atol=1e-5)


def test_the_learning_rate_follows_whichever_is_further_on() -> None:
    schedule = Schedule(warmup=10, steps=1000, max_seconds=100)
    assert schedule(0) < schedule(9) and schedule(9) > 0.99
    schedule.elapsed = 100
    assert schedule(20) == pytest.approx(0.05)
    schedule.elapsed, schedule.winding_from, schedule.winding = 0, 20, 10
    assert schedule(30) == 0.0


def test_a_finish_file_winds_the_run_down(tmp_path: Path) -> None:
    schedule = Schedule(warmup=1, steps=1000, max_seconds=0)
    clock, state = RunClock(schedule, tmp_path, lambda _line: None), TrainerState(global_step=100)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    clock.on_step_end(arguments, state, control := TrainerControl())
    assert not control.should_training_stop
    (tmp_path / "FINISH").touch()
    clock.on_step_end(arguments, state, control)
    assert not control.should_training_stop and schedule(110) < schedule(101)
    state.global_step = 120
    clock.on_step_end(arguments, state, control)
    assert control.should_training_stop and control.should_save and control.should_evaluate


def test_a_resumed_schedule_keeps_its_time_and_takes_the_new_budget(tmp_path: Path) -> None:
    schedule = Schedule(warmup=1, steps=1000, max_seconds=50)
    clock = RunClock(schedule, tmp_path, lambda _line: None)
    schedule.elapsed, schedule.max_seconds = 40, 20
    clock.on_train_begin(TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(), TrainerControl())
    assert (schedule.elapsed, schedule.max_seconds) == (40, 50)


def test_the_commands_answer_in_json_and_refuse_wrong_use(tmp_path: Path) -> None:
    runner = CliRunner()
    described = runner.invoke(app, ["synth", "--describe", "--json", "--notes", "30"])
    counts = json.loads(described.stdout)
    assert {"statements", "conditions", "drugs", "sections", "distinct_8grams_per_1000_words"} <= set(counts)
    assert counts["statements"] == len(read_bank().statements)
    listed = json.loads(runner.invoke(app, ["recipes", "--json"]).stdout)["recipes"]
    assert {"name", "base", "form", "parameters", "memory_gb", "licence"} <= set(listed[0])
    for wrong in (
        ["synth"],
        ["synth", "--share", "mine", "--describe"],
        ["run", "maxi"],
        ["run", "mini", "steps=1"],
        ["prepare", str(tmp_path / "none.csv")],
    ):
        assert runner.invoke(app, wrong).exit_code == 2, wrong


def test_synth_then_prepare_from_the_command_line(tmp_path: Path) -> None:
    runner, notes = CliRunner(), tmp_path / "NOTEEVENTS.csv.gz"
    assert runner.invoke(app, ["synth", "--notes", "60", "--seed", "7", "--out", str(notes)]).exit_code == 0
    result = runner.invoke(
        app, ["prepare", str(notes), "--out", str(tmp_path / "data"), "--set", "vocab_size=500", "--set", "block_size=128", "--json"]
    )
    assert result.exit_code == 0
    manifest = json.loads(result.stdout)
    assert manifest["read"]["notes"] == sum(part["notes"] for part in manifest["counts"].values())
