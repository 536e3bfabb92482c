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


def raw(hf):
    """The same model unprocessed, with per-head inputs and results as hooks."""
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
        d_head=c.n_embd // c.n_head, d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=c.vocab_size,
        act_fn=c.activation_function, eps=c.layer_norm_epsilon, normalization_type="LN",
        use_attn_result=True, use_split_qkv_input=True, use_hook_mlp_in=True, dtype=torch.float64)
    model = tl.HookedTransformer(cfg)
    state = convert_gpt2_weights(hf, cfg)
    if not c.tie_word_embeddings:
        state["unembed.W_U"] = hf.lm_head.weight.T
    model.load_and_process_state_dict(state, fold_ln=False, center_writing_weights=False,
                                      center_unembed=False, fold_value_biases=False)
    return model.double()


def gradient(model, ids, e, a, b, pos=-1):
    """logit(a) - logit(b) and its gradient by the token embeddings e [T, C]."""
    leaf = e.clone().requires_grad_()
    with torch.enable_grad():
        z = model.run_with_hooks(torch.tensor([ids]),
                                 fwd_hooks=[("hook_embed", lambda x, hook: leaf[None])])[0, pos]
        m = z[a] - z[b]
        return float(m.detach()), torch.autograd.grad(m, leaf)[0]


def saliency(hf, ids):
    model = raw(hf)
    a, b, token = 1, 2, 3
    e = model.W_E[torch.tensor(ids)]
    value, g = gradient(model, ids, e, a, b)
    out = {"ids": ids, "answer": a, "wrong": b, "token": token, "metric": value,
           "grad_x_input": rounded((e * g).sum(-1)), "grad_norm": rounded(g.norm(dim=-1)), "paths": []}
    for base, e0 in (("zero", torch.zeros_like(e)), ("mean", model.W_E.mean(0).expand_as(e)),
                     (f"#{token}", model.W_E[token].expand_as(e))):
        m0, _ = gradient(model, ids, e0, a, b)
        for rule, n in (("gauss_legendre", 5), ("trapezoid", 4), ("midpoint", 7), ("left", 3),
                        ("right", 3)):
            if rule == "gauss_legendre":
                t, w = np.polynomial.legendre.leggauss(n)
                t, w = (t + 1) / 2, w / 2
            elif rule == "trapezoid":
                t, w = np.linspace(0, 1, n + 1), np.full(n + 1, 1 / n)
                w[0] = w[-1] = 0.5 / n
            else:
                t = (np.arange(n) + {"midpoint": 0.5, "left": 0, "right": 1}[rule]) / n
                w = np.full(n, 1 / n)
            sum_g = sum(wk * gradient(model, ids, e0 + tk * (e - e0), a, b)[1] for tk, wk in zip(t, w))
            ig = ((e - e0) * sum_g).sum(-1)
            out["paths"].append({"baseline": base, "rule": rule, "steps": n, "value": rounded(ig),
                                 "base": m0, "error": float(ig.sum() - (value - m0))})
    return out


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    out = {}
    for name in VARIANTS:
        hf = load(os.path.join(sys.argv[1], name)).double()
        ids = repeated(hf.config)
        out[name] = {"heads": heads(hf, ids), "saliency": saliency(hf, ids)}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
