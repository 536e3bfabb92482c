#!/usr/bin/env python3
"""Goldens of attribution patching, from autograd on TransformerLens 2.18 models in fp64.

    make_attr_goldens.py MODELS OUT.json

OUT.json is committed as goldens/attr.json and read by check_attr.py. The prompts are those of
make_patch_goldens.py. The fixed queries and keys are by brute force: each replaced row of scores goes
through the softmax again. Run it in an environment with torch, transformers and transformer_lens."""
import json
import os
import sys

import torch
from make_analysis_goldens import load, rounded
from make_patch_goldens import hooked

VARIANTS = ["plain", "prime", "bylayer", "untied", "eps", "lnfree", "act-relu"]
STREAM = {"resid_pre": "hook_resid_pre", "resid_mid": "hook_resid_mid", "attn_out": "hook_attn_out",
          "mlp_out": "hook_mlp_out", "resid_post": "hook_resid_post"}
HEADS = {x: f"attn.hook_{x}" for x in "zqkv"}


def gradients(model, x, metric, names, cut=None):
    """Gradients at named hooks; `cut` is a layer whose writes pass none."""
    kept = {}

    def keep(act, hook):
        act = act.detach() if cut is not None and hook.name in cuts else act
        if not act.requires_grad:
            act.requires_grad_(True)
        act.retain_grad()
        kept[hook.name] = act
        return act
    cuts = {f"blocks.{cut}.hook_attn_out", f"blocks.{cut}.hook_mlp_out"}
    metric(model.run_with_hooks(x, fwd_hooks=[(n, keep) for n in names])).backward()
    return {n: a.grad[0].clone() if a.grad is not None else torch.zeros_like(a[0]) for n, a in kept.items()}


def estimates(model, to, frm, grads):
    """{sweep: values}, as the blocks of `attr`."""
    L = model.cfg.n_layers

    def first_order(name):
        return [grads[f"blocks.{l}.{name}"] * (frm[f"blocks.{l}.{name}"][0] - to[f"blocks.{l}.{name}"][0])
                for l in range(L)]
    out = {s: torch.stack([y.sum(-1) for y in first_order(n)]) for s, n in STREAM.items()}
    for x, n in HEADS.items():
        y = torch.stack([y.sum(-1) for y in first_order(n)])  # [layer, pos, head]
        out[f"head_{x}_by_pos"], out[f"head_{x}"] = y, y.sum(1)
    y = torch.stack(first_order("attn.hook_pattern"))
    out["head_pattern_dest_src_pos"], out["head_pattern"] = y, y.sum((-1, -2))
    out["neuron"] = torch.stack([y.sum(0) for y in first_order("mlp.hook_post")])
    return out


def fixed(model, to, frm, grads):
    L, H, T = model.cfg.n_layers, model.cfg.n_heads, to["hook_embed"].shape[1]
    q_fix, k_fix, k_all = torch.zeros(L, T, H), torch.zeros(L, T, H), torch.zeros(L, H)
    for l in range(L):
        p = f"blocks.{l}.attn."
        scale = model.blocks[l].attn.attn_scale
        g = grads[p + "hook_pattern"]
        for h in range(H):
            q, k = (to[p + f"hook_{x}"][0, :, h] for x in "qk")
            q2, k2 = (frm[p + f"hook_{x}"][0, :, h] for x in "qk")

            def moved(q, k, i):
                return float((((q[i] @ k[:i + 1].T) / scale).softmax(-1) * g[h, i, :i + 1]).sum())
            for i in range(T):
                base = moved(q, k, i)
                q_fix[l, i, h] = moved(q2, k, i) - base
                k_all[l, h] += moved(q, k2, i) - base
                for t in range(i + 1):
                    one = k.clone()
                    one[t] = k2[t]
                    k_fix[l, t, h] += moved(q, one, i) - base
    return {"head_q_by_pos": q_fix, "head_q": q_fix.sum(1), "head_k_by_pos": k_fix, "head_k": k_all}


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    out = {}
    for name in VARIANTS:
        model = hooked(load(os.path.join(sys.argv[1], name)))
        V, T, L = model.cfg.d_vocab, min(model.cfg.n_ctx, 6), model.cfg.n_layers
        clean = [(i * 7919 + 13) % V for i in range(T)]
        corrupt = list(clean)
        corrupt[1], corrupt[3] = (clean[1] + 5) % V, (clean[3] + 3) % V
        a, b = 1, V - 2

        def metric(logits):
            return logits[0, -1, a] - logits[0, -1, b]
        names = [f"blocks.{l}.{n}" for l in range(L)
                 for n in list(STREAM.values()) + list(HEADS.values()) + ["attn.hook_pattern", "mlp.hook_post"]]
        x = torch.tensor([corrupt])
        with torch.no_grad():
            frm, to = (model.run_with_cache(torch.tensor([p]))[1] for p in (clean, corrupt))
        for p in model.parameters():
            p.requires_grad_(False)
        grads = gradients(model, x, metric, names)
        drop = {}
        for cut in range(L):
            for s, y in estimates(model, to, frm, gradients(model, x, metric, names, cut)).items():
                if s in ("attn_out", "mlp_out"):
                    y[cut] = 0  # what is cut has no way of its own
                drop[s] = drop.get(s, 0) + y.abs() / (L if s.startswith("resid") else max(L - 1, 1))
        forms = {"": estimates(model, to, frm, grads), "--qk-fix": fixed(model, to, frm, grads),
                 "--grad-drop": {s: drop[s] for s in ("head_z", "head_q_by_pos", "attn_out", "mlp_out", "resid_pre", "head_pattern")}}
        out[name] = {"clean": clean, "corrupt": corrupt, "answer": a, "wrong": b, "forms": {
            f: {s: {"shape": list(y.shape), "values": [float(f"{v:.7g}") for v in rounded(y)]}
                for s, y in sweeps.items()} for f, sweeps in forms.items()}}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
