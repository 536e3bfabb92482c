#!/usr/bin/env python3
"""Goldens of heads, saliency, edges and paths, from TransformerLens 2.18 and torch with hooks.

    make_circuit_goldens.py MODELS OUT.json

MODELS is a folder of make_models.py; OUT.json is committed as goldens/circuits.json and read by
check_circuits.py. All in fp64. Run it in an environment with torch, transformers and
transformer_lens."""
import json
import os
import sys

import numpy as np
import torch
import transformer_lens as tl
from make_analysis_goldens import folded, load, rounded
from transformer_lens.head_detector import detect_head
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

VARIANTS = ["plain", "small", "deep", "untied", "prime"]
DETECTORS = ["previous_token_head", "duplicate_token_head", "induction_head"]
OPTIONS = [dict(), dict(exclude_bos=True), dict(exclude_bos=True, exclude_current_token=True),
           dict(error_measure="abs"), dict(error_measure="abs", exclude_current_token=True)]


def repeated(cfg, n=13):
    """Ids in which tokens come again, some at once."""
    n = min(cfg.n_positions - 1, n)
    return [int(v) for v in np.random.RandomState(5).randint(0, min(cfg.vocab_size, 6), n)]


def heads(hf, ids):
    model = folded(hf)
    model.to_tokens = lambda *_: torch.tensor([ids])
    x = torch.tensor([ids])
    out = {"ids": ids, "detect": []}
    for o in OPTIONS:
        _, cache = model.run_with_cache(x, remove_batch_dim=True)
        scores = []
        for d in DETECTORS:
            # With an exclude, detect_head writes into the cached pattern: a fresh one each time.
            _, cache = model.run_with_cache(x, remove_batch_dim=True)
            D = getattr(tl.head_detector, "get_" + d.replace("_head", "_head_detection_pattern"))(x)
            scores.append(detect_head(model, "", D, cache=cache, **o))
        out["detect"].append({"options": o, "score": rounded(torch.stack(scores))})
    L, H, C, D = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_model, model.cfg.d_head
    OV, QK = model.OV, model.QK
    eig = OV.eigenvalues
    out["copying"] = rounded(eig.sum(-1).real / eig.abs().sum(-1))
    full = model.embed.W_E @ OV @ model.unembed.W_U
    eig = full.eigenvalues
    out["copying_tokens"] = rounded(eig.sum(-1).real / eig.abs().sum(-1))
    if L > 1:
        out["composition"] = rounded(torch.stack(
            [model.all_composition_scores(m) for m in "QKV"]).reshape(3, L * H, L * H))
    out["ov_singular"] = rounded(OV.S)
    out["qk_singular"] = rounded(QK.S)
    v = OV.Vh  # [L, H, C, D], columns are right singular vectors
    first = v[..., 0] @ model.unembed.W_U
    first = first * torch.sign(first.gather(-1, first.abs().argmax(-1, keepdim=True)))
    out["ov_first"] = {"logit": rounded(first.max(-1).values), "token": first.argmax(-1).flatten().tolist()}
    return out


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    out = {}
    for name in VARIANTS:
        hf = load(os.path.join(sys.argv[1], name)).double()
        out[name] = {"heads": heads(hf, repeated(hf.config))}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
