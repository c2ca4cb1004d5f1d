"""The runtime over a graph: its cache, what it says of bad input, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from nurse_lsp import runtime_onnx
from nurse_lsp.models import CheckpointError
from nurse_lsp.runtime_onnx import GRAPH, OnnxRuntime, load_runtime, physical_cores
from nurse_training.export import export_checkpoint
from tests.checkpoints import make_checkpoint

CONTEXT = 256  # of the tiny checkpoints
IDS = [int(token) for token in np.random.default_rng(3).integers(0, 300, 60)]


@pytest.fixture(scope="module", params=("llama", "qwen3", "gpt2", "opt"))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each family in turn with its int8 graph."""
    folder = make_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    export_checkpoint(folder)
    return folder


@pytest.fixture
def runtime(checkpoint: Path) -> OnnxRuntime:
    return load_runtime(checkpoint, threads=1)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkpoint(tmp_path_factory.mktemp("llama"), "llama")
    export_checkpoint(folder)
    return folder


def test_cached_equals_uncached(checkpoint: Path, runtime: OnnxRuntime) -> None:
    cached = [runtime.forward([token]) for token in IDS]
    for length in (1, 2, 17, len(IDS)):
        same(load_runtime(checkpoint, threads=1).forward(IDS[:length]), cached[length - 1])


def test_chunks_equal_one_pass(checkpoint: Path, runtime: OnnxRuntime) -> None:
    at = 0
    for size in (5, 8, 1, 20, 26):
        found = runtime.forward(IDS[at : at + size])
        at += size
    same(found, load_runtime(checkpoint, threads=1).forward(IDS))


def test_logits_of_each_position_equal_single_steps(checkpoint: Path, runtime: OnnxRuntime) -> None:
    runtime.forward(IDS[:20])
    each = runtime.forward_each(IDS[20:28])
    assert each.shape == (8, runtime.vocab_size)
    other = load_runtime(checkpoint, threads=1)
    other.forward(IDS[:20])
    for row, token in zip(each, IDS[20:28], strict=True):
        same(row, other.forward([token]))


def test_crop_and_go_on_equals_fresh(checkpoint: Path, runtime: OnnxRuntime) -> None:
    runtime.forward(IDS)
    runtime.crop(13)
    found = runtime.forward(IDS[40:50])
    same(found, load_runtime(checkpoint, threads=1).forward([*IDS[:13], *IDS[40:50]]))


def test_crop_to_nothing_forgets_all(checkpoint: Path, runtime: OnnxRuntime) -> None:
    runtime.forward(IDS)
    runtime.crop(0)
    same(runtime.forward(IDS[:4]), load_runtime(checkpoint, threads=1).forward(IDS[:4]))


def test_crop_beyond_the_end_keeps_what_is_there(checkpoint: Path, runtime: OnnxRuntime) -> None:
    runtime.forward(IDS[:5])
    runtime.crop(50)
    same(runtime.forward(IDS[5:7]), load_runtime(checkpoint, threads=1).forward(IDS[:7]))


def test_result_is_the_same_while_the_cache_grows(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_runtime(checkpoint, threads=1).forward(IDS)
    monkeypatch.setattr(runtime_onnx, "CACHE_STRIDE", 8)
    runtime = load_runtime(checkpoint, threads=1)
    for at in range(0, len(IDS), 6):
        found = runtime.forward(IDS[at : at + 6])
    same(found, expected)


def test_whole_context_can_be_read_and_no_more(runtime: OnnxRuntime) -> None:
    assert runtime.context == CONTEXT
    runtime.forward([5] * (CONTEXT - 1))
    runtime.forward([5])
    with pytest.raises(ValueError, match="1 tokens after 256 do not fit"):
        runtime.forward([5])
    runtime.crop(CONTEXT - 1)
    runtime.forward([6])


def test_earlier_logits_are_not_overwritten(runtime: OnnxRuntime) -> None:
    first = runtime.forward(IDS[:3])
    kept = first.copy()
    runtime.forward(IDS[3:9])
    np.testing.assert_array_equal(first, kept)


def test_logits_have_the_protocols_shape(runtime: OnnxRuntime) -> None:
    logits = runtime.forward(IDS[:3])
    assert logits.shape == (runtime.vocab_size,)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("ids", [[], [-1], [100_000]])
def test_bad_token_ids_are_refused_and_change_nothing(llama: Path, ids: list[int]) -> None:
    runtime = load_runtime(llama, threads=1)
    runtime.forward(IDS[:5])
    with pytest.raises(ValueError, match=r"okens? "):
        runtime.forward(ids)
    same(runtime.forward(IDS[5:6]), load_runtime(llama, threads=1).forward(IDS[:6]))


def test_threads_do_not_change_the_result(llama: Path) -> None:
    same(load_runtime(llama, threads=2).forward(IDS), load_runtime(llama, threads=1).forward(IDS))


def test_self_test_stays_within_the_physical_cores_and_leaves_an_empty_cache(llama: Path) -> None:
    runtime = load_runtime(llama)
    assert 1 <= runtime.threads <= physical_cores()
    same(runtime.forward(IDS), load_runtime(llama, threads=1).forward(IDS))


@pytest.mark.parametrize(
    ("times", "graph_bytes", "chosen"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.58}, 1_000, 2),  # four gain too little
        ({1: 1.0, 2: 1.2, 4: 0.1}, 1_000, 1),  # two lose: four are not tried
        ({4: 1.0, 2: 1.3}, 10**9, 4),
        ({4: 1.0, 2: 1.05}, 10**9, 2),  # nearly as fast with half the cores
    ],
)
def test_threads_are_taken_only_where_they_pay(
    monkeypatch: pytest.MonkeyPatch, times: dict[int, float], graph_bytes: int, chosen: int
) -> None:
    class Opened:
        def __init__(self, threads: int) -> None:
            self.threads = threads

    monkeypatch.setattr(runtime_onnx, "_open", lambda path, threads: Opened(threads))
    monkeypatch.setattr(runtime_onnx, "_self_test", lambda opened: times[opened.threads])
    assert runtime_onnx._fastest(Path(), runtime_onnx._candidates(graph_bytes, 4)).threads == chosen


@pytest.mark.parametrize(
    ("cores", "small", "large"), [(1, [1], [1]), (2, [1, 2], [2, 1]), (6, [1, 2, 4, 6], [6, 4]), (8, [1, 2, 4, 8], [8, 4])]
)
def test_candidates_run_from_one_to_all_cores(cores: int, small: list[int], large: list[int]) -> None:
    assert runtime_onnx._candidates(1_000, cores) == small
    assert runtime_onnx._candidates(10**9, cores) == large


def test_missing_graph_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        load_runtime(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_damaged_graph_is_named(llama: Path, tmp_path: Path, damage: str) -> None:
    content = (llama / GRAPH).read_bytes()
    (tmp_path / "onnx").mkdir()
    (tmp_path / GRAPH).write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\xff" * 1000}[damage])
    with pytest.raises(CheckpointError, match=r"model\.onnx: cannot be loaded"):
        load_runtime(tmp_path)


@pytest.mark.parametrize(("key", "value", "said"), [("nurse_format", "0", "nurse-train export"), ("layers", "", "layers")])
def test_graph_of_another_kind_is_named(llama: Path, tmp_path: Path, key: str, value: str, said: str) -> None:
    model = onnx.load(llama / GRAPH)
    properties = {entry.key: entry.value for entry in model.metadata_props} | {key: value}
    onnx.helper.set_model_props(model, {name: text for name, text in properties.items() if text})
    (tmp_path / "onnx").mkdir()
    onnx.save(model, tmp_path / GRAPH)
    with pytest.raises(CheckpointError, match=said):
        load_runtime(tmp_path)


def test_loading_imports_no_framework(llama: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nurse_lsp.runtime_onnx import load_runtime;"
        f"load_runtime(Path({str(llama)!r}), 1).forward([1, 2, 3]);"
        "print([name for name in ('torch', 'transformers', 'onnx') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def same(found: np.ndarray[tuple[int, ...], np.dtype[np.float32]], expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """Equal but for the head's last bits: one activation that fell on another int8 step would show a thousand times as much."""
    assert int(found.argmax()) == int(expected.argmax())
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(expected.std()))
