"""`nurse-lsp doctor`: is everything here that serving needs, and how fast is it?

In: settings. Out: findings by name; `ok` says whether a note could be completed now.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version

from nurse_lsp.completion import Completer, load_completer
from nurse_lsp.limits import Limits
from nurse_lsp.models import ModelError, resolve
from nurse_lsp.settings import Settings

PACKAGES = ("nurse-lsp", "pygls", "lsprotocol", "tokenizers", "numpy", "onnxruntime", "torch", "transformers", "peft")
SELF_TEST = "Neuro: Pt alert and oriented, follows commands.\nResp: Lungs clear, "
SPEED_TOKENS = 32


def examine(settings: Settings) -> dict[str, object]:
    """Versions, the checkpoint, one completion, speed and memory. Takes as long as loading the model."""
    findings: dict[str, object] = {"python": f"{sys.version.split()[0]} on {platform.machine()}", "cores": os.cpu_count()}
    findings |= {name: _version(name) for name in PACKAGES}
    findings["model"] = settings.model
    try:
        findings["checkpoint"] = str(resolve(settings.model))
        started = time.perf_counter()
        completer = load_completer(settings)
    except ModelError as error:
        return findings | {"problem": str(error), "ok": False}
    findings["load_s"] = round(time.perf_counter() - started, 2)
    return findings | _self_test(completer)


def _self_test(completer: Completer) -> dict[str, object]:
    suggestion = completer.complete(SELF_TEST, len(SELF_TEST), Limits())
    engine = completer.local
    session = engine.session
    ids = engine.vocabulary.encode(SELF_TEST)
    session.forget()
    started = time.perf_counter()
    session.read(ids, Limits())
    prefill_s = time.perf_counter() - started
    started = time.perf_counter()
    steps = engine.greedy(ids, SPEED_TOKENS, Limits(), lambda written: False)
    decode_s = time.perf_counter() - started
    return {
        "self_test": f"ghost of {len(suggestion.ghost)} characters, {len(suggestion.items)} menu items, {suggestion.latency_ms:.0f} ms",
        "prefill_tokens_per_s": round(len(ids) / prefill_s),
        "decode_tokens_per_s": round(len(steps) / decode_s),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "ok": bool(suggestion.ghost or suggestion.items),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
