"""Result files as the commands of nurse-eval write them, with figures made up: what a report page is tested with."""

from __future__ import annotations

import json
from pathlib import Path

MACHINE = {"cpu": "Test CPU @ 2.00GHz", "cores": 2, "memory_gb": 25.3}
OPEN = "open notes on mock patients (CC BY 4.0)"


def result(kind: str, model: str, data: str = "open.jsonl", **more: object) -> dict[str, object]:
    """What every result file holds."""
    return {
        "kind": kind, "model": model, "model_sha256": f"{len(model):02x}" * 32, "version": "0.1.0", "data": data,
        "data_sha256": {"open.jsonl": "a1" * 32, "ward.jsonl": "b2" * 32}[data], "data_origin": OPEN if data == "open.jsonl" else "",
        "n": 57, "groups": 40, "seed": 7, "wall_s": 61.2, "commit": "c0ffee" * 6, "versions": {"python": "3.11.7", "numpy": "2.3.5"},
        "machine": MACHINE, "config": {"threads": 0},
    } | more  # fmt: skip


def score(model: str, level: float, data: str = "open.jsonl", encoder: str = "minilm 0a1b") -> dict[str, object]:
    """A file of `nurse-eval score`."""

    def part(value: float) -> dict[str, object]:
        names = {"precision": value, "recall": value * 0.8, "f1": value * 0.9}
        return {**names, "ci95": {name: [middle * 0.9, middle * 1.1] for name, middle in names.items()}}

    overlaps = {name: part(level * share) for name, share in (("rouge1", 1), ("rouge2", 0.4), ("rougeL", 0.9), ("rougeLsum", 0.9))}
    match = {str(count): level / count**2 for count in range(1, 11)}
    return result(
        "score", model, data, **overlaps, bertscore=part(0.6 + level / 4), encoder=encoder, bits_per_byte=2.2 - level,
        bits_per_byte_ci95=[2.1 - level, 2.3 - level], exact_match=match,
        exact_match_ci95={count: [value * 0.8, value * 1.2] for count, value in match.items()},
        exact_match_of="model", protocol="product", length_ratio=0.4, length_ratio_ci95=[0.35, 0.45], places=456,
        slices={"numbers": {"places": 80, "rouge1": part(level / 2)}, "drugs": {"places": 0}},
    )  # fmt: skip


def replay(model: str, saved: float, **more: object) -> dict[str, object]:
    """A file of `nurse-eval replay`."""
    config = {"careless": 0, "key_s": 0.24, "reading_s": 0.2, "threads": 0}
    return result(
        "replay", model, keystrokes_saved=saved, keystrokes_saved_ci95=[saved - 0.02, saved + 0.02], oracle_bound=0.61,
        oracle_bound_ci95=[0.6, 0.62], shown_rate=0.3, acceptance_rate=0.5, wrong_chars_per_100=12.5, unsupported_number_rate=0.0,
        p50_ms=4.1, p90_ms=18.5, p99_ms=44.0, config=config,
    ) | more  # fmt: skip


def audit(model: str, exposed: float) -> dict[str, object]:
    """A file of `nurse-eval audit`."""
    rows = [
        {
            "repeats": count,
            "canaries": 4,
            "exposure_mean": bits,
            "exposure_min": bits / 2,
            "exposure_max": min(13.29, bits * 2),
            "extracted": 0,
        }
        for count, bits in zip((1, 2, 4, 8, 16), (1.4, 1.2, 2.0, exposed / 2, exposed), strict=True)
    ]
    checks = [
        {"check": "mean exposure of canaries", "value": exposed, "limit": 6.0, "passed": exposed <= 6, "why": ""},
        {"check": "training notes recognised", "value": None, "limit": 0.05, "passed": None, "why": "12 held-out notes, 100 are needed"},
    ]
    return result(
        "audit", model, exposure=rows, exposure_most_bits=13.29, exposure_limit_bits=6.0, checks=checks, passed=exposed <= 6,
        reference="zlib", membership_tpr=None, verbatim_train=0.002, verbatim_train_ci95=[0.0, 0.004], longest_unique_span_words=13,
    )  # fmt: skip


def calibrate(model: str) -> dict[str, object]:
    """A file of `nurse-eval calibrate`."""
    bins = [{"predicted": place / 10 + 0.05, "right": (place / 10) ** 1.4, "n": 90 - 8 * place} for place in range(10)]
    after = [{**one, "right": one["predicted"] - 0.01} for one in bins]
    return result(
        "calibrate", model, ece_before=0.12, ece_after=0.021, reliability_before=bins, reliability_after=after, reliability_ghosts=[]
    )


def write(folder: Path, **files: dict[str, object]) -> Path:
    """Result files by name."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def write_predictions(path: Path, model: str, word: str, data: str = "open.jsonl") -> Path:
    """A file of `nurse-eval generate`: thirty places of one note."""
    head = result("generate", model, data, config={"protocol": "product"})
    same = {"note": 0, "group": "1", "reference": "stable on air"}
    prompts = [f"Resp: <b>clear</b> {place}, sats " for place in range(30)]
    rows = [{**same, "cursor": 9 * n, "prompt": prompt, "candidate": f"{word} {n}"} for n, prompt in enumerate(prompts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), "utf-8")
    return path


def whole(folder: Path) -> Path:
    """A file of every kind, two models, two sets of notes, two encoders."""
    write(
        folder,
        score_mini=score("mini", 0.30), score_ngram=score("ngram", 0.21), score_ward=score("mini", 0.4, "ward.jsonl"),
        score_other_encoder=score("ngram", 0.2, encoder="roberta-large ffee"), replay_mini=replay("mini", 0.25),
        replay_ngram=replay("ngram-of-mini", 0.2, p50_ms=1.2, p90_ms=6.0, p99_ms=9.5), audit_mini=audit("mini", 1.9),
        audit_leaky=audit("leaky", 12.1),
        calibrate_mini=calibrate("mini"),
    )  # fmt: skip
    write_predictions(folder / "mini.jsonl", "mini", "stable")
    write_predictions(folder / "ngram.jsonl", "ngram", "low")
    write_predictions(folder / "ward.jsonl", "mini", "secretword", "ward.jsonl")
    return folder
