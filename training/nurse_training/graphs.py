"""An ONNX graph written from the parts of a decoder, node by node: no tracing, so it is exact and takes seconds.

In: a `Decoder` (see `families.py`). Out: the bytes of an ONNX model for ONNX Runtime. Keys and values live in buffers that the caller owns:
each is an input and an output of the graph bound to the same memory, so that nothing past is copied.

| input | shape | meaning |
|---|---|---|
| `input_ids` | int64 (1, n) | new tokens |
| `last` | int64 (1,) | `-k`: logits of the last k of them; later parts of the last layer are computed for these only |
| `past_and_new` | int32 () | tokens in the cache after this pass |
| `last_position` | int32 (1,) | `past_and_new - 1` |
| `key_i`, `value_i` | float (1, kv_heads, capacity, head_size) | the cache of layer i; a pass of one token writes one position beyond it |

In int8 a token's keys and values are the same to the last bit whatever is read in the same pass, its logits to 2e-6, so what is drafted,
cached or cut into chunks does not change a greedy decode: activations are quantised row by row, and attention never runs for a single row.

Outputs: `logits` (1, k, vocab_size) and `key_i_out`, `value_i_out`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from nurse_training.families import Decoder, Layer, Linear, Norm

Array = NDArray[np.float32]
Precision = Literal["int8", "fp32"]
Scalar = str | int | float

CONTRIB = "com.microsoft"
OPSET = 21
IR_VERSION = 10
INT8_STEPS = 127
"""Activations and the rows of the embedding use -127..127 of int8, symmetric around zero."""
WEIGHT_STEPS = 63
"""Matrices use -63..63: x86 CPUs without VNNI add two products of 8 bits in 16 bits and cut off what does not fit. mini lost nothing by it
(bits per byte -0.01 % against fp32, as with 127)."""
MAX_HEAD_BLOCK = 256
"""Widest block of one scale that ONNX Runtime's `MatMulNBits` takes, and the fastest (mini's head: 33 microseconds, 57 with 32)."""


def build_graph(decoder: Decoder, precision: Precision, metadata: dict[str, str]) -> onnx.ModelProto:
    """The ONNX model of a decoder.

    Args:
        decoder: its parts; the layers are read once, one at a time.
        precision: `int8` quantises every matrix: weights per output channel, activations per token while it runs.
        metadata: written into the model's `metadata_props`.
    """
    return _GraphWriter(decoder, precision).write(metadata)


class _Nodes:
    """Nodes and constants of a graph under names of their own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._serial = 0

    def name(self, stem: str) -> str:
        """A name that no other value has."""
        self._serial += 1
        return f"{stem}_{self._serial}"

    def constant(self, stem: str, value: NDArray[np.generic]) -> str:
        """The name of a stored tensor."""
        name = self.name(stem)
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def shared(self, name: str, value: NDArray[np.generic]) -> str:
        """The name of a small stored tensor that many nodes use."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def integers(self, *values: int) -> str:
        """The name of a stored int64 vector."""
        return self.shared("_".join(["ints", *(str(value).replace("-", "m") for value in values)]), np.array(values, np.int64))

    def add(self, op: str, inputs: list[str], outputs: int | list[str] = 1, domain: str = "", **attributes: Scalar) -> list[str]:
        """Appends a node; the names of its outputs."""
        names = [self.name(op.lower()) for _ in range(outputs)] if isinstance(outputs, int) else outputs
        node = helper.make_node(op, inputs, names, name=self.name(op), domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return names

    def one(self, op: str, *inputs: str, domain: str = "", **attributes: Scalar) -> str:
        """Appends a node with one output; its name."""
        return self.add(op, list(inputs), 1, domain, **attributes)[0]


class _GraphWriter(_Nodes):
    """Writes one decoder."""

    def __init__(self, decoder: Decoder, precision: Precision) -> None:
        super().__init__()
        self._decoder = decoder
        self._int8 = precision == "int8"
        self._zero_points = self._kept_zero_points = ""
        self._tokens = self._doubled = ""
        self._attended: list[str] = []
        self._rotary: list[str] = ["", ""]
        self._head_weight: list[str] = []

    def write(self, metadata: dict[str, str]) -> onnx.ModelProto:
        decoder = self._decoder
        self._tokens = tokens = self.one("Shape", "input_ids", start=1, end=2)
        self._count_rows()
        if self._int8:
            zero = self.shared("zero_point_row", np.full((1, 1, 1), 128, np.uint8))
            self._zero_points = self.one("Expand", zero, self.one("Concat", self.integers(1), tokens, self.integers(1), axis=0))
            self._kept_zero_points = self._slice(self._zero_points, None, None, axis=1)
        if decoder.rotary is not None:
            self._rotary = [self.constant("cos", decoder.rotary[0]), self.constant("sin", decoder.rotary[1])]
        hidden = self._embed(tokens)
        pending = ""
        for index, layer in enumerate(decoder.layers):
            hidden, pending = self._layer(hidden, pending, layer, index)
        if decoder.final_norm is not None:
            hidden = self._add_norm(hidden, pending, decoder.final_norm)[0] if pending else self._norm(hidden, decoder.final_norm)
        elif pending:
            hidden = self.one("Add", hidden, pending)
        if decoder.project_out is not None:
            hidden = self._linear(hidden, decoder.project_out, kept=True)
        self._write_head(hidden)
        return self._model(metadata)

    def _count_rows(self) -> None:
        """How many rows attention adds, 1 where there is one token, else 0; and the lengths that go with them."""
        self._doubled = self.one("Cast", self.one("Less", self._tokens, self.integers(2)), to=TensorProto.INT64)
        added = self.one("Cast", self._doubled, to=TensorProto.INT32)
        length = self.one("Add", "past_and_new", self.one("Squeeze", added))
        self._attended = [self.one("Add", "last_position", added), length]

    def _embed(self, tokens: str) -> str:
        """(1, n, hidden_size) of the new tokens."""
        decoder = self._decoder
        hidden = self._look_up(decoder.embedding, tied=decoder.head is None)
        if decoder.project_in is not None:
            hidden = self._linear(hidden, decoder.project_in)
        if decoder.positions is not None:
            end = self.one("Cast", self.one("Add", "last_position", self.shared("int_one", np.array([1], np.int32))), to=TensorProto.INT64)
            start = self.one("Sub", end, tokens)
            rows = self.one("Slice", self.constant("positions", decoder.positions), start, end, self.integers(0))
            hidden = self.one("Add", hidden, self.one("Unsqueeze", rows, self.integers(0)))
        return hidden

    def _look_up(self, table: Array, tied: bool) -> str:
        width = table.shape[1]
        if not self._int8:
            weight = self.constant("embedding", table)
            self._head_weight = [weight] if tied else []
            return self.one("Gather", weight, "input_ids")
        blocks, scales = quantise_blocks(table)
        weight, block = self.constant("embedding", blocks), blocks.shape[2]
        stored = self.constant("embedding_scale", scales[:, :, None])
        self._head_weight = [weight, self.constant("head_scale", scales)] if tied else []
        found = self.one(
            "GatherBlockQuantized", weight, "input_ids", stored,
            domain=CONTRIB, bits=8, block_size=block, gather_axis=0, quantize_axis=2,
        )  # fmt: skip
        padded = self.one("Reshape", found, self.integers(1, -1, blocks.shape[1] * block))
        return padded if blocks.shape[1] * block == width else self._slice(padded, 0, width, axis=2)

    def _write_head(self, hidden: str) -> None:
        decoder = self._decoder
        table = decoder.embedding if decoder.head is None else decoder.head
        if not self._int8:
            weight = self._head_weight[0] if self._head_weight else self.constant("head", table)
            self.add("FusedMatMul", [hidden, weight], ["logits"], CONTRIB, transB=1)
            return
        if not self._head_weight:
            blocks, scales = quantise_blocks(table)
            self._head_weight = [self.constant("head", blocks), self.constant("head_scale", scales)]
        shape = {"N": table.shape[0], "K": table.shape[1], "bits": 8, "block_size": block_size(table.shape[1]), "accuracy_level": 4}
        self.add("MatMulNBits", [hidden, *self._head_weight], ["logits"], CONTRIB, **shape)

    def _layer(self, hidden: str, pending: str, layer: Layer, index: int) -> tuple[str, str]:
        """One layer.

        Args:
            hidden: the residual stream.
            pending: what is still to be added to it, where norms come first: the addition is fused with the norm that follows; else empty.
            layer: its weights.
            index: which of the layers.

        Returns:
            The same pair after the layer.
        """
        decoder = self._decoder
        last = index == decoder.num_layers - 1
        normed = hidden
        if decoder.norm_first:
            normed, hidden = self._add_norm(hidden, pending, layer.attention_norm) if pending else (
                self._norm(hidden, layer.attention_norm), hidden)  # fmt: skip
        attended = self._attention(normed, layer, index)
        if last:
            hidden, attended = (self._slice(value, None, None, axis=1) for value in (hidden, attended))
        attended = self._linear(attended, layer.out, kept=last)
        if decoder.norm_first:
            normed, hidden = self._add_norm(hidden, attended, layer.mlp_norm)
            return hidden, self._mlp(normed, layer, last)
        hidden = self._add_norm(hidden, attended, layer.attention_norm)[0]
        return self._add_norm(hidden, self._mlp(hidden, layer, last), layer.mlp_norm)[0], ""

    def _attention(self, hidden: str, layer: Layer, index: int) -> str:
        """Causal attention of the new tokens over the cache and themselves, before the output matrix.

        A single token goes in twice and its second row is dropped: for one row ONNX Runtime takes another kernel, whose last bits differ.
        The second row's key and value land one position beyond the end, where the next pass overwrites them.
        """
        decoder = self._decoder
        rows = self._linear(hidden, layer.qkv)
        second = self.one("Slice", rows, self.integers(0), self._doubled, self.integers(1))
        projected = [self.one("Concat", rows, second, axis=1), "", ""]
        if layer.q_norm is not None and layer.k_norm is not None:
            heads, kv_heads, size = decoder.heads, decoder.kv_heads, decoder.head_size
            sizes = self.integers(heads * size, kv_heads * size, kv_heads * size)
            query, key, value = self.add("Split", [projected[0], sizes], 3, axis=2)
            projected = [self._head_norm(query, layer.q_norm), self._head_norm(key, layer.k_norm), value]
        names = [f"key_{index}", f"value_{index}"]
        outputs = [self.name("attention"), *(f"{name}_out" for name in names)]
        inputs = [*projected, *names, *self._attended, *self._rotary]
        self.add(
            "GroupQueryAttention", inputs, outputs, CONTRIB,
            num_heads=decoder.heads, kv_num_heads=decoder.kv_heads, do_rotary=int(decoder.rotary is not None),
        )  # fmt: skip
        return self.one("Slice", outputs[0], self.integers(0), self._tokens, self.integers(1))

    def _head_norm(self, value: str, weight: Array) -> str:
        """RMS norm of each head by itself."""
        size = self._decoder.head_size
        split = self.one("Reshape", value, self.integers(1, 0, -1, size))
        normed = self.one("SimplifiedLayerNormalization", split, self.constant("head_norm", weight), epsilon=self._decoder.eps, axis=-1)
        return self.one("Reshape", normed, self.shared("merge_heads", np.array([1, 0, -1], np.int64)))

    def _mlp(self, hidden: str, layer: Layer, last: bool) -> str:
        decoder = self._decoder
        fused_bias = decoder.activation == "gelu_tanh" and layer.up.bias is not None
        up = self._linear(hidden, layer.up, kept=last, bias=not fused_bias)
        if decoder.gated:
            gate, up = self.add("Split", [up], 2, axis=2, num_outputs=2)
            return self._linear(self.one("Mul", self._activate(gate), up), layer.down, kept=last)
        if fused_bias and layer.up.bias is not None:
            return self._linear(self.one("FastGelu", up, self.constant("bias", layer.up.bias), domain=CONTRIB), layer.down, kept=last)
        return self._linear(self._activate(up), layer.down, kept=last)

    def _activate(self, value: str) -> str:
        match self._decoder.activation:
            case "silu":
                return self.one("QuickGelu", value, domain=CONTRIB, alpha=1.0)
            case "gelu_tanh":
                return self.one("FastGelu", value, domain=CONTRIB)
            case "gelu":
                return self.one("Gelu", value, domain=CONTRIB)
            case "relu":
                return self.one("Relu", value)

    def _norm(self, value: str, norm: Norm) -> str:
        weight = self.constant("norm", norm.weight)
        if norm.bias is None:
            return self.one("SimplifiedLayerNormalization", value, weight, epsilon=self._decoder.eps, axis=-1)
        return self.one("LayerNormalization", value, weight, self.constant("norm_bias", norm.bias), epsilon=self._decoder.eps, axis=-1)

    def _add_norm(self, value: str, other: str, norm: Norm) -> tuple[str, str]:
        """The norm of a sum, and the sum."""
        inputs = [value, other, self.constant("norm", norm.weight)]
        if norm.bias is not None:
            inputs.append(self.constant("norm_bias", norm.bias))
        op = "SkipSimplifiedLayerNormalization" if norm.bias is None else "SkipLayerNormalization"
        outputs = [self.name("normed"), "", "", self.name("sum")]
        self.add(op, inputs, outputs, CONTRIB, epsilon=self._decoder.eps)
        return outputs[0], outputs[3]

    def _slice(self, value: str, start: int | None, end: int | None, axis: int) -> str:
        """Part of a value; without `start` its last rows, as the input `last` says."""
        first = "last" if start is None else self.integers(start)
        beyond = self.integers(np.iinfo(np.int64).max if end is None else end)
        return self.one("Slice", value, first, beyond, self.integers(axis))

    def _linear(self, value: str, linear: Linear, kept: bool = False, bias: bool = True) -> str:
        """`value` (1, n, in) times a matrix, plus its bias.

        int8: each row of `value` is quantised by its own largest magnitude, so that a token's result depends neither on the tokens read
        in the same pass nor on an outlier among them. `DynamicQuantizeMatMul`, with one scale for all rows, is hardly faster;
        `MatMulNBits` is 0.1 ms faster for mini's single token, but takes twice as long for 256.

        Args:
            value: what is multiplied.
            linear: the matrix.
            kept: `value` has only the rows that `last` names.
            bias: False where the caller adds it.
        """
        if self._int8:
            result = self._int8_product(value, linear.weight, kept)
        else:
            result = self.one("MatMul", value, self.constant("weight", linear.weight.T))
        if linear.bias is not None and bias:
            result = self.one("Add", result, self.constant("bias", linear.bias))
        return result

    def _int8_product(self, value: str, weight: Array, kept: bool) -> str:
        quantised, weight_scale = quantise_rows(weight)
        largest = self.one("ReduceMax", self.one("Abs", value), self.integers(-1), keepdims=1)
        scale = self.one("Mul", largest, self.shared("int8_step", np.array(1 / INT8_STEPS, np.float32)))
        zero_points = self._kept_zero_points if kept else self._zero_points
        integers = self.one("QuantizeLinear", value, scale, zero_points, axis=2, block_size=weight.shape[1])
        product = self.one(
            "MatMulIntegerToFloat", integers, self.constant("weight", quantised.T), self.shared("unit", np.array(1, np.float32)),
            self.constant("weight_scale", weight_scale), self.shared("zero_point", np.array(128, np.uint8)), domain=CONTRIB,
        )  # fmt: skip
        return self.one("Mul", product, scale)

    def _model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        decoder = self._decoder
        cache: list[str | int | None] = [1, decoder.kv_heads, "capacity", decoder.head_size]
        names = [f"{part}_{index}" for index in range(decoder.num_layers) for part in ("key", "value")]
        info = helper.make_tensor_value_info
        inputs = [
            info("input_ids", TensorProto.INT64, [1, "n"]),
            info("last", TensorProto.INT64, [1]),
            info("past_and_new", TensorProto.INT32, []),
            info("last_position", TensorProto.INT32, [1]),
            *(info(name, TensorProto.FLOAT, cache) for name in names),
        ]
        outputs = [info("logits", TensorProto.FLOAT, [1, "k", decoder.embedding.shape[0]])]
        outputs += [info(f"{name}_out", TensorProto.FLOAT, cache) for name in names]
        graph = helper.make_graph(self.nodes, "decoder", inputs, outputs, list(self.initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nurse-train export")
        helper.set_model_props(model, metadata)
        return model


def quantise_rows(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """A matrix (out, in) as -63..63 with one scale per row, (out,)."""
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / WEIGHT_STEPS
    return np.rint(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def block_size(width: int) -> int:
    """Values that share a scale in a table whose rows are `width` wide: a power of two, so that little is padded."""
    size = 16
    while size < MAX_HEAD_BLOCK and width % (2 * size) == 0:
        size *= 2
    return size


def quantise_blocks(table: Array) -> tuple[NDArray[np.uint8], Array]:
    """A table (rows, width) as uint8 around 128, (rows, blocks, block_size), and one scale per block, (rows, blocks)."""
    rows, width = table.shape
    size = block_size(width)
    count = -(-width // size)
    padded = np.zeros((rows, count * size), np.float32)
    padded[:, :width] = table
    blocks = padded.reshape(rows, count, size)
    scale = np.maximum(np.abs(blocks).max(axis=2), 1e-12) / INT8_STEPS
    quantised = np.rint(blocks / scale[:, :, None]) + 128
    return quantised.astype(np.uint8), scale.astype(np.float32)
