"""OpenELM and open_lm: logits equal to the published equations, written out here in plain torch; conversion there and back; serving."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import layer_norm, linear, silu
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from nurse_lsp.architectures import OpenElmConfig, register
from nurse_lsp.runtime_torch import load_runtime
from nurse_training.bases import BaseError, family_of
from nurse_training.cli import app
from nurse_training.convert import convert
from nurse_training.published import ConvertError, openelm_parts, read_openelm, read_openlm
from tests.checkpoints import train_tokenizer
from tests.conftest import completer_of

State = dict[str, Tensor]
OPENELM: dict[str, Any] = {
    "model_type": "openelm", "architectures": ["OpenELMForCausalLM"], "auto_map": {"AutoConfig": "apple/OpenELM--x"},
    "activation_fn_name": "swish", "normalization_layer_name": "rms_norm", "normalize_qk_projections": True, "ffn_with_glu": True,
    "vocab_size": 420, "max_context_length": 128, "num_transformer_layers": 3, "model_dim": 48, "head_dim": 8, "num_gqa_groups": 2,
    "num_query_heads": [2, 4, 6], "num_kv_heads": [1, 2, 3], "qkv_multipliers": [0.5, 1.0], "ffn_multipliers": [0.5, 1.75, 4.0],
    "ffn_dim_divisor": 16, "rope_freq_constant": 10000, "rope_max_length": 256, "share_input_output_layers": True,
    "initializer_range": 0.02, "use_cache": True, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
}  # fmt: skip
OPENLM: dict[str, Any] = {
    "model_type": "openlm", "architectures": ["OpenLMForCausalLM"], "vocab_size": 420, "seq_len": 128, "dim": 48, "n_layers": 2,
    "n_heads": 4, "norm_eps": 1e-5, "norm_type": "gain_only_lp_layer_norm", "apply_qk_norm": True, "ffn_type": "swiglu_torch",
    "positional_embedding_type": "rotary", "post_embed_norm": False, "weight_tying": False, "attn_name": "auto", "moe_freq": 0,
}  # fmt: skip
OPENLM_INNER = 256  # 8/3 of 48, up to a multiple of 256


def _rotated(x: Tensor, theta: float) -> Tensor:
    """RoFormer's rotation of (heads, n, size) by position: dimension i turns with i + size/2."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] / theta ** (torch.arange(half, dtype=torch.float64) / half)
    cos, sin = angle.cos().to(x), angle.sin().to(x)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k / sqrt(size)) v over what came before, (heads, n, size) -> (n, heads * size); a key serves several queries."""
    k, v = (x.repeat_interleave(len(q) // len(k), 0) for x in (k, v))
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)


def _rms(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain


def openelm_logits(w: State, c: dict[str, Any], ids: Tensor) -> Tensor:
    """Apple's OpenELM by its published names, (n,) -> (n, vocab_size)."""
    x = w["transformer.token_embeddings.weight"][ids]
    for n in range(c["num_transformer_layers"]):
        at, heads, keys = f"transformer.layers.{n}.", c["num_query_heads"][n], c["num_kv_heads"][n]
        joint = linear(_rms(x, w[at + "attn_norm.weight"]), w[at + "attn.qkv_proj.weight"])
        joint = joint.view(len(ids), heads + 2 * keys, c["head_dim"]).transpose(0, 1)
        q, k, v = joint[:heads], joint[heads : heads + keys], joint[heads + keys :]
        q, k = (_rotated(_rms(y, w[f"{at}attn.{z}_norm.weight"]), c["rope_freq_constant"]) for y, z in ((q, "q"), (k, "k")))
        x = x + linear(_attended(q, k, v), w[at + "attn.out_proj.weight"])
        both = linear(_rms(x, w[at + "ffn_norm.weight"]), w[at + "ffn.proj_1.weight"])
        half = both.shape[-1] // 2
        x = x + linear(silu(both[:, :half]) * both[:, half:], w[at + "ffn.proj_2.weight"])
    return linear(_rms(x, w["transformer.norm.weight"]), w["transformer.token_embeddings.weight"])


def openlm_logits(w: State, c: dict[str, Any], ids: Tensor) -> Tensor:
    """open_lm's network as DCLM-7B has it, by its published names, (n,) -> (n, vocab_size)."""
    heads, width = c["n_heads"], c["dim"]

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (width,), w[name], None, c["norm_eps"])

    x = w["model.tok_embeddings.weight"][ids]
    for n in range(c["n_layers"]):
        at = f"model.layers.{n}."
        joint = linear(norm(x, at + "attention_norm.weight"), w[at + "attention.in_proj.weight"])
        q, k, v = joint[:, :width], joint[:, width : 2 * width], joint[:, 2 * width :]
        q, k = norm(q, at + "attention.q_norm.weight"), norm(k, at + "attention.k_norm.weight")
        q, k, v = (y.view(len(ids), heads, -1).transpose(0, 1) for y in (q, k, v))
        x = x + linear(_attended(_rotated(q, 10000), _rotated(k, 10000), v), w[at + "attention.out_proj.weight"])
        both = linear(norm(x, at + "ffn_norm.weight"), w[at + "feed_forward.w12.weight"])
        x = x + linear(silu(both[:, :OPENLM_INNER]) * both[:, OPENLM_INNER:], w[at + "feed_forward.w3.weight"])
    return linear(norm(x, "model.norm.weight"), w["model.output.weight"])


def openelm_state(c: dict[str, Any], chance: torch.Generator) -> State:
    """Random weights in Apple's layout."""
    width, size = c["model_dim"], c["head_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.token_embeddings.weight": (c["vocab_size"], width),
        "transformer.norm.weight": (width,),
    }
    for n in range(c["num_transformer_layers"]):
        at, heads, keys = f"transformer.layers.{n}.", c["num_query_heads"][n], c["num_kv_heads"][n]
        inner = {0.5: 32, 1.75: 80, 4.0: 192}[c["ffn_multipliers"][n]]  # 24, 84 and 192 as multiples of 16: 24 halfway goes up
        shapes |= {
            at + "attn.qkv_proj.weight": ((heads + 2 * keys) * size, width), at + "attn.out_proj.weight": (width, heads * size),
            at + "attn.q_norm.weight": (size,), at + "attn.k_norm.weight": (size,),
            at + "attn_norm.weight": (width,), at + "ffn_norm.weight": (width,),
            at + "ffn.proj_1.weight": (2 * inner, width), at + "ffn.proj_2.weight": (width, inner),
        }  # fmt: skip
    return {name: _random(shape, chance) for name, shape in shapes.items()}


def openlm_state(c: dict[str, Any], chance: torch.Generator) -> State:
    """Random weights in open_lm's layout, with the rotary table that it saves."""
    width, vocab = c["dim"], c["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.tok_embeddings.weight": (vocab, width), "model.output.weight": (vocab, width), "model.norm.weight": (width,),
    }  # fmt: skip
    for n in range(c["n_layers"]):
        at = f"model.layers.{n}."
        shapes |= {
            at + "attention.in_proj.weight": (3 * width, width), at + "attention.out_proj.weight": (width, width),
            at + "attention.q_norm.weight": (width,), at + "attention.k_norm.weight": (width,),
            at + "attention_norm.weight": (width,), at + "ffn_norm.weight": (width,),
            at + "feed_forward.w12.weight": (2 * OPENLM_INNER, width), at + "feed_forward.w3.weight": (width, OPENLM_INNER),
            at + "attention.pos_embed.inv_freq": (width // c["n_heads"] // 2,),
        }  # fmt: skip
    return {name: _random(shape, chance) for name, shape in shapes.items()}


def _random(shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    """Gains around one, matrices that keep the size of what passes."""
    values = torch.randn(shape, generator=chance)
    return 1 + 0.3 * values if len(shape) == 1 else values * shape[-1] ** -0.5


@dataclass(frozen=True)
class Case:
    """One architecture: a published folder, ours from it, and the equations."""

    published: Path
    ours: Path
    config: dict[str, Any]
    state: State
    logits: Callable[[State, dict[str, Any], Tensor], Tensor]


@pytest.fixture(scope="module", params=["openelm", "openlm"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A published folder with random weights and a tokenizer, converted."""
    folder = tmp_path_factory.mktemp(request.param)
    published, chance = folder / "published", torch.Generator().manual_seed(3)
    openelm = request.param == "openelm"
    config = OPENELM if openelm else OPENLM
    state = openelm_state(config, chance) if openelm else openlm_state(config, chance)
    write_published(published, config, state)
    convert(published, folder / "ours")
    return Case(published, folder / "ours", config, state, openelm_logits if openelm else openlm_logits)


def write_published(folder: Path, config: dict[str, Any], state: State) -> None:
    """A folder as the hub has it, with a tokenizer of the tests."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    train_tokenizer().save(str(folder / "tokenizer.json"))


@torch.no_grad()
def test_logits_are_those_of_the_published_equations(case: Case) -> None:
    register()
    ids = torch.randint(420, (60,), generator=torch.Generator().manual_seed(5))
    expected = case.logits(case.state, case.config, ids)
    for attention in ("sdpa", "eager"):
        model = AutoModelForCausalLM.from_pretrained(case.ours, attn_implementation=attention).eval()
        logits = model(input_ids=ids[None]).logits[0]
        assert expected.std() > 0.5  # not the equality of nothing with nothing
        assert (logits - expected).abs().max() <= 1e-5


def test_the_served_cache_gives_what_reading_anew_gives_after_a_crop_too(case: Case) -> None:
    runtime = load_runtime(case.ours)
    ids = torch.randint(420, (40,), generator=torch.Generator().manual_seed(6))
    expected = case.logits(case.state, case.config, ids).numpy()
    assert np.abs(runtime.forward(ids[:20].tolist()) - expected[19]).max() <= 1e-5
    runtime.forward_each([7, 8, 9])
    runtime.crop(12)
    assert np.abs(runtime.forward_each(ids[12:40].tolist()) - expected[12:]).max() <= 1e-5
    assert runtime.context == 128


def test_a_note_is_completed(case: Case) -> None:
    items = completer_of(case.ours).complete("Resp: Lungs clear bilat, dimin", 30).items
    assert items and not (case.ours / "onnx").exists()


def test_it_trains_and_checkpoints_its_activations(case: Case) -> None:
    register()
    model = AutoModelForCausalLM.from_pretrained(case.ours).train()
    model.activation_checkpointing_enable()
    ids = torch.arange(24)[None]
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.norm() > 0 for parameter in model.parameters())


def test_documents_packed_in_one_row_do_not_see_each_other(case: Case) -> None:
    register()
    model = AutoModelForCausalLM.from_pretrained(case.ours).eval()
    ids = torch.randint(420, (30,), generator=torch.Generator().manual_seed(7))
    positions = torch.cat([torch.arange(13), torch.arange(17)])
    packed = model(input_ids=ids[None], position_ids=positions[None], use_cache=False).logits[0, 13:]
    assert torch.allclose(packed, model(input_ids=ids[None, 13:]).logits[0], atol=1e-5)


def test_conversion_there_and_back_changes_no_bit(case: Case, tmp_path: Path) -> None:
    convert(case.ours, tmp_path / "theirs")
    back = load_file(tmp_path / "theirs" / "model.safetensors")
    expected = {name: value for name, value in case.state.items() if not name.endswith("inv_freq")}
    assert set(back) == set(expected) and all(torch.equal(back[name], value) for name, value in expected.items())
    convert(tmp_path / "theirs", tmp_path / "again")
    ours, again = (load_file(folder / "model.safetensors") for folder in (case.ours, tmp_path / "again"))
    assert set(ours) == set(again) and all(torch.equal(again[name], value) for name, value in ours.items())
    configs = [json.loads((folder / "config.json").read_text("utf-8")) for folder in (case.ours, tmp_path / "again")]
    assert configs[0] == configs[1]


def test_shards_and_their_index_hold_the_same(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nurse_training.convert.SHARD_BYTES", 50_000)
    convert(case.published, tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    register()
    one, many = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (case.ours, tmp_path / "shards"))
    assert all(torch.equal(many[name], value) for name, value in one.items())


def test_a_training_checkpoint_of_open_lm_is_read_too(tmp_path: Path) -> None:
    published, state = tmp_path / "published", openlm_state(OPENLM, torch.Generator().manual_seed(4))
    write_published(published, OPENLM, state)
    convert(published, tmp_path / "expected")
    (tmp_path / "epoch").mkdir()
    (tmp_path / "epoch" / "config.json").write_text(json.dumps(OPENLM | {"weight_tying": True}), "utf-8")
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{name.removeprefix('model.')}": value for name, value in state.items()}},
        tmp_path / "epoch" / "epoch_1.pt",
    )
    convert(tmp_path / "epoch", tmp_path / "ours", tokenizer=published)
    ours, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "expected"))
    assert set(expected) - set(ours) == {"lm_head.weight"}  # tied: once is enough
    assert all(torch.equal(value, expected[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    ("config", "changes", "named"),
    [
        (OPENELM, {"normalize_qk_projections": False}, ["normalize_qk_projections is False"]),
        (OPENELM, {"ffn_with_glu": False, "activation_fn_name": "gelu"}, ["ffn_with_glu", "activation_fn_name is 'gelu'"]),
        (OPENELM, {"num_kv_heads": None}, ["missing: num_kv_heads"]),
        (OPENELM, {"ffn_multipliers": [0.5, 4.0]}, ["ffn_multipliers has 2 entries"]),
        (OPENELM, {"attention_sinks": 4}, ["unknown: attention_sinks"]),
        (OPENLM, {"apply_qk_norm": False}, ["qk_norm is False"]),
        (OPENLM, {"apply_qk_norm": None}, ["missing: qk_norm"]),
        (OPENLM, {"norm_type": "default_layer_norm", "ffn_type": "gelu"}, ["model_norm is 'default_layer_norm'", "ffn_type is 'gelu'"]),
        (OPENLM, {"moe_freq": 2, "post_embed_norm": True}, ["moe_freq is 2", "post_embed_norm is True"]),
        (OPENLM, {"positional_embedding_type": "head_rotary"}, ["positional_embedding_type"]),
    ],
)
def test_a_field_that_is_wrong_missing_or_unknown_is_named(config: dict[str, Any], changes: dict[str, Any], named: list[str]) -> None:
    changed = {name: value for name, value in (config | changes).items() if value is not None}
    with pytest.raises(ConvertError) as caught:
        (read_openelm if config is OPENELM else read_openlm)(changed)
    assert all(words in str(caught.value) for words in named)


def test_a_run_on_the_published_layout_says_how_to_convert_it() -> None:
    for kind in ("openelm", "openlm"):
        with pytest.raises(BaseError, match="nurse-train convert"):
            family_of(kind)


def test_an_unknown_field_may_be_allowed() -> None:
    assert read_openelm(OPENELM | {"comment": "x"}, frozenset({"comment"})).hidden_size == 48


def test_the_270m_of_the_paper_has_its_size() -> None:
    heads, keys = [12] * 5 + [16] * 7 + [20] * 4, [3] * 5 + [4] * 7 + [5] * 4
    multipliers = [round(0.5 + 3.5 * n / 15, 2) for n in range(16)]
    true = OPENELM | {
        "vocab_size": 32000, "max_context_length": 2048, "num_transformer_layers": 16, "model_dim": 1280, "head_dim": 64,
        "num_query_heads": heads, "num_kv_heads": keys, "ffn_multipliers": multipliers, "ffn_dim_divisor": 256,
    }  # fmt: skip
    register()
    config = read_openelm(true)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == 271_527_168
    assert {part.published.split(".")[0] for part in openelm_parts(config)} == {"transformer"}
    with pytest.raises(ValueError, match="layer_intermediate_sizes has 1"):
        OpenElmConfig(num_hidden_layers=2, layer_intermediate_sizes=[8])


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    runner, folder = CliRunner(), tmp_path / "published"
    state = openelm_state(OPENELM, torch.Generator().manual_seed(1))
    write_published(folder, OPENELM, state)
    done = runner.invoke(app, ["convert", str(folder), "--out", str(tmp_path / "ours"), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["layout"] == "nurse"
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    for arguments, words in (
        ([str(folder)], "Llama 2"),
        ([str(tmp_path / "none")], "missing"),
        ([str(folder), "--tokenizer", str(tmp_path / "none")], "tokenizer"),
    ):
        result = runner.invoke(app, ["convert", *arguments, "--out", str(tmp_path / "no")])
        assert result.exit_code == 2 and words in result.stderr, arguments
    assert runner.invoke(app, ["convert", str(folder), "--tokenizer", str(tmp_path), "--out", str(tmp_path / "yes")]).exit_code == 0
    save_file({name: value for name, value in state.items() if "layers.1.ffn.proj_2" not in name}, folder / "model.safetensors")
    result = runner.invoke(app, ["convert", str(folder), "--tokenizer", str(tmp_path), "--out", str(tmp_path / "no")])
    assert result.exit_code == 2 and "transformer.layers.1.ffn.proj_2.weight" in result.stderr
