"""What an answer decides, for JSON and in a few words."""

from __future__ import annotations

from mlsysim.core.evaluation import Evaluation, Json


def decided(e: Evaluation) -> Json:
    """Return the decisions of an answer."""
    assert e.layout is not None
    s = e.scenario
    found = e.layout.to_dict() | {"precision": s.precision, "accelerators": s.accelerators}
    if "checkpoint" in s.extras:
        found["checkpoint_interval_s"] = float(s.extras["checkpoint"].interval)
    return found


def briefly(d: Json) -> str:
    """Return decisions in a few words: ``tp 4 cp 1 pp 2 dp 64 mb 1 v 10 none zero 1``."""
    ends = ""
    if d["pp"] > 1 and d["first_stage_layers"] != d["last_stage_layers"]:
        ends = f" ends {d['first_stage_layers']}+{d['last_stage_layers']}"
    return (
        f"tp {d['tp']} cp {d['cp']} pp {d['pp']} dp {d['dp']}"
        + (f" ep {d['ep']}" if d["ep"] > 1 else "")
        + f" mb {d['microbatch_size']} v {d['interleave']}{ends} {d['recompute']}"
        + (f" {d['recompute_layers']}" if d["recompute_layers"] else "")
        + f" zero {d['zero_stage']}"
        + (" offload" if d["offload_optimizer"] else "")
    )


def changes(old: Json, new: Json) -> str:
    """Return which decisions differ, in a few words: ``pp 2 -> 4, microbatch 1 -> 2``."""
    names = {
        "accelerators": "accelerators",
        "precision": "precision",
        "tp": "tp",
        "cp": "cp",
        "pp": "pp",
        "dp": "dp",
        "ep": "ep",
        "microbatch_size": "microbatch",
        "interleave": "interleave",
        "first_stage_layers": "first stage",
        "last_stage_layers": "last stage",
        "recompute": "recompute",
        "recompute_layers": "recomputed layers",
        "sequence_parallel": "sequence parallel",
        "zero_stage": "zero",
        "offload_optimizer": "offload",
    }

    def word(x: object) -> str:
        return ("yes" if x else "no") if isinstance(x, bool) else str(x)

    found = [f"{title} {word(old[n])} -> {word(new[n])}" for n, title in names.items() if old[n] != new[n]]
    return ", ".join(found) or "the same plan"
