"""The graph of a checkpoint against transformers: exact in fp32, close in int8."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from nurse_lsp.runtime_onnx import FORMAT, GRAPH, OnnxRuntime, load_runtime
from nurse_training.cli import app
from nurse_training.export import GRAPH_FORMAT, ExportReport, export_checkpoint
from nurse_training.families import ExportError
from nurse_training.graphs import block_size, quantise_blocks, quantise_rows
from tests.checkpoints import LINES, make_checkpoint

FAMILIES = ("llama", "qwen3", "gpt2", "opt")
PROMPT = [7, 21, 33, 60, 12, 90, 41, 8, 77, 120, 15]


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    """A tiny checkpoint of each family in turn with both graphs, and the export's report."""
    folder = make_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    return folder, export_checkpoint(folder, LINES, fp32=True)


def test_fp32_graph_decodes_the_same_tokens_as_transformers(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    folder, _ = exported
    assert greedy(fp32_runtime(folder, tmp_path), PROMPT, 40) == transformers_greedy(folder, PROMPT, 40)


def test_fp32_graph_gives_transformers_logits(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    folder, _ = exported
    expected = transformers_logits(folder, PROMPT)
    np.testing.assert_allclose(fp32_runtime(folder, tmp_path).forward_each(PROMPT), expected, atol=2e-4 * float(np.abs(expected).max()))


def test_int8_graph_is_close_to_transformers(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    expected = transformers_logits(folder, PROMPT)
    found = load_runtime(folder, threads=1).forward_each(PROMPT)
    assert float(np.abs(found - expected).mean()) < 0.03 * float(expected.std())
    assert report.loss is not None
    assert abs(report.loss.added_share) < 0.05


def test_report_measures_the_checkpoint_itself(exported: tuple[Path, ExportReport]) -> None:
    """The first line's bits, by hand from transformers' logits."""
    folder, _ = exported
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(LINES[1]).ids
    logits = transformers_logits(folder, ids).astype(np.float64)[:-1]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bits = -np.log2(chances[np.arange(len(ids) - 1), ids[1:]]).sum()
    loss = export_checkpoint(folder, LINES[1:2]).loss
    assert loss is not None
    assert loss.fp32 == pytest.approx(bits / len(LINES[1].encode()), rel=1e-4)


def test_report_says_size_and_loss(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    assert report.graph == folder / GRAPH
    assert report.graph_bytes == report.graph.stat().st_size
    assert "bits per byte: fp32" in str(report)


def test_graph_holds_the_embedding_once(tmp_path: Path) -> None:
    """Tied rows are stored as one int8 table; nothing is stored in fp32 that grows with the model's width squared."""
    folder = make_checkpoint(tmp_path / "c")
    export_checkpoint(folder)
    stored = onnx.load(folder / GRAPH).graph.initializer
    rows = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    assert len([tensor for tensor in stored if tensor.dims[:1] == [rows] and tensor.data_type == onnx.TensorProto.UINT8]) == 1
    matrices = [tensor for tensor in stored if len(tensor.dims) == 2 and min(tensor.dims) > 16]
    assert matrices
    assert {tensor.data_type for tensor in matrices} == {onnx.TensorProto.INT8}


def test_untied_head_is_used(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    untie(folder)
    export_checkpoint(folder, fp32=True)
    expected = transformers_logits(folder, PROMPT)
    np.testing.assert_allclose(fp32_runtime(folder, tmp_path).forward_each(PROMPT), expected, atol=1e-3)
    assert float(np.abs(load_runtime(folder, threads=1).forward_each(PROMPT) - expected).mean()) < 0.03 * float(expected.std())


def test_export_leaves_no_half_written_file(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    export_checkpoint(folder)
    export_checkpoint(folder)
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model.onnx"]


def test_context_can_be_shortened(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c", "gpt2")
    assert export_checkpoint(folder, context=64).context == 64
    assert load_runtime(folder, threads=1).context == 64


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    import transformers

    config = transformers.GPTNeoConfig(vocab_size=64, hidden_size=16, num_layers=1, num_heads=2, attention_types=[[["global"], 1]])
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ExportError, match="gpt_neo"):
        export_checkpoint(tmp_path)
    assert not (tmp_path / "onnx").exists()


def test_head_size_that_the_attention_cannot_take_is_refused(tmp_path: Path) -> None:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4,
        head_dim=8,
    )  # fmt: skip
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ExportError, match="Heads of 8"):
        export_checkpoint(tmp_path)


def test_adapter_is_merged(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    export_checkpoint(base, fp32=True)
    export_checkpoint(adapter, fp32=True)
    merged = fp32_runtime(adapter, tmp_path).forward_each(PROMPT)
    np.testing.assert_allclose(merged, adapter_logits(base, adapter, PROMPT), atol=1e-3)
    assert float(np.abs(merged - fp32_runtime(base, tmp_path).forward_each(PROMPT)).max()) > 0.1


@pytest.fixture
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint that lacks something, or whose weights were cut off."""
    whole = make_checkpoint(tmp_path / "whole", "llama")
    folder = make_adapter(whole, tmp_path / "adapter") if request.param == "adapter" else whole
    if request.param == "config":
        (folder / "config.json").unlink()
    weights = next(folder.glob("*.safetensors"))
    if request.param == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif request.param != "config":
        weights.unlink()
    return folder


@pytest.mark.parametrize("damaged", ["config", "weights", "cut", "adapter"], indirect=True)
@pytest.mark.parametrize("command", [["export"], ["gguf", "--out", "x.gguf"], ["run", "mini", "--out", "x", "--start-from"]])
def test_what_is_missing_is_said_and_looked_for_nowhere_else(
    damaged: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter without weights was once asked for at the hub by the name of its folder: the name of a repository could be such a path."""
    monkeypatch.chdir(tmp_path)

    def forbid(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", forbid)
    monkeypatch.setattr(socket, "getaddrinfo", forbid)
    result = CliRunner().invoke(app, [*command, str(damaged.relative_to(tmp_path))])
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit), result.exception
    assert any(what in result.stderr for what in ("config.json: missing", "no *.safetensors in it", "the file was cut off"))


def test_server_and_export_agree_on_the_format() -> None:
    assert GRAPH_FORMAT == FORMAT


def test_rows_are_quantised_by_their_own_largest() -> None:
    values, scale = quantise_rows(np.array([[0.63, -0.01, 0.0], [-126.0, 2.0, 63.0]], np.float32))
    assert values.tolist() == [[63, -1, 0], [-63, 1, 32]]
    np.testing.assert_allclose(scale, [0.01, 2.0], rtol=1e-6)


def test_blocks_are_quantised_around_128_and_padded() -> None:
    table = np.zeros((1, 20), np.float32)
    table[0, 0], table[0, 16] = 127, -1.27
    values, scale = quantise_blocks(table)
    assert values.shape == (1, 2, 16)
    assert (int(values[0, 0, 0]), int(values[0, 1, 0]), int(values[0, 1, 15])) == (255, 1, 128)
    np.testing.assert_allclose(scale, [[1.0, 0.01]], rtol=1e-6)


@pytest.mark.parametrize(("width", "size"), [(16, 16), (20, 16), (32, 32), (256, 256), (768, 256), (704, 64)])
def test_block_divides_the_width_where_it_can(width: int, size: int) -> None:
    assert block_size(width) == size


def fp32_runtime(folder: Path, place: Path) -> OnnxRuntime:
    """A runtime over the fp32 graph, as if it were the served one."""
    copy = place / f"{folder.name}-fp32"
    (copy / "onnx").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "onnx" / "model.fp32.onnx", copy / GRAPH)
    return load_runtime(copy, threads=1)


def greedy(runtime: OnnxRuntime, prompt: list[int], count: int) -> list[int]:
    logits = runtime.forward(prompt)
    tokens = []
    for _ in range(count):
        tokens.append(int(logits.argmax()))
        logits = runtime.forward(tokens[-1:])
    return tokens


def transformers_greedy(folder: Path, prompt: list[int], count: int) -> list[int]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    ids = torch.tensor([prompt])
    made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    return [int(token) for token in made[0, len(prompt) :]]


def transformers_logits(folder: Path, ids: list[int]) -> NDArray[np.float32]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    return logits


def untie(folder: Path) -> None:
    """Gives a Llama checkpoint a head of its own."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().flip(0).clone())
    model.save_pretrained(folder)


def make_adapter(base: Path, folder: Path) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    adapted.save_pretrained(str(folder))
    return folder


def adapter_logits(base: Path, adapter: Path, ids: list[int]) -> NDArray[np.float32]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32), str(adapter)).eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    return logits
