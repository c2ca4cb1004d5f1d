"""The figures of the student report that this product grew from. They stand in a table of their own: other data, other prompts."""

from __future__ import annotations

MODELS = ("TinyLlama-1.1B", "Qwen3-0.6B", "OPT-350m", "gpt2_all", "gpt2_5000", "gpt2_5%", "gpt2_ok")
FIGURES: dict[str, tuple[float, ...]] = {
    "ROUGE-1": (0.2208, 0.1485, 0.1749, 0.1666, 0.5457, 0.3681, 0.2190),
    "ROUGE-2": (0.1914, 0.1300, 0.1532, 0.1462, 0.4696, 0.3133, 0.1882),
    "ROUGE-L": (0.2180, 0.1489, 0.1751, 0.1669, 0.5486, 0.3692, 0.2198),
    "ROUGE-Lsum": (0.2190, 0.1479, 0.1753, 0.1676, 0.5489, 0.3694, 0.2186),
    "BERTScore P": (0.7672, 0.7867, 0.7821, 0.7831, 0.8912, 0.8233, 0.7948),
    "BERTScore R": (0.9253, 0.9087, 0.9194, 0.9249, 0.9407, 0.9335, 0.9291),
    "BERTScore F1": (0.8386, 0.8431, 0.8450, 0.8480, 0.9151, 0.8746, 0.8563),
}
"""As published, in the order of `MODELS`; for ROUGE it is not said whether they are F1."""
CAPTION = "Published, on other data: figures of the student report, on MIMIC-III nursing notes that are not here"
NOTE = (
    "Nothing here may be compared with a column above: other notes, other places in them, an encoder of BERTScore that is not named, "
    "outputs that repeat the prompt and do not stop (recall far above precision is their mark)."
)
