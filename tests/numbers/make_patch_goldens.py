#!/usr/bin/env python3
"""Goldens of activation patching: every get_act_patch_* function of TransformerLens 2.18, in fp64.

    make_patch_goldens.py MODELS OUT.json

MODELS is a folder of make_models.py; OUT.json is committed as goldens/patch.json and read by
check_patch.py. Two prompts of given ids that differ in two places, the clean one patched into the
corrupt one; the metric is a logit difference at the last position. Also ablations (loss) and causal
tracing (probability) by hooks. Run it in an environment with torch,
transformers and transformer_lens."""
import json
import os
import sys

import numpy as np
import torch
import transformer_lens as tl
from make_analysis_goldens import load, rounded
from transformer_lens import patching
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

VARIANTS = ["plain", "prime", "narrow", "deep", "bylayer", "untied", "eps", "lnfree", "act-gelu",
            "act-gelu_fast", "act-relu", "act-silu"]
SWEEPS = ["resid_pre", "resid_mid", "attn_out", "mlp_out", "block_every"] + [
    f"attn_head_{x}_{w}" for x in ("out", "q", "k", "v", "pattern") for w in ("all_pos", "by_pos")
] + ["attn_head_pattern_dest_src_pos", "attn_head_all_pos_every", "attn_head_by_pos_every"]


def hooked(hf):
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
        d_head=c.n_embd // c.n_head, d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=c.vocab_size,
        act_fn=c.activation_function, eps=c.layer_norm_epsilon, normalization_type="LN",
        use_attn_scale=c.scale_attn_weights,
        scale_attn_by_inverse_layer_idx=c.scale_attn_by_inverse_layer_idx, dtype=torch.float64)
    model = tl.HookedTransformer(cfg).double()
    state = convert_gpt2_weights(hf.double(), cfg)
    if not c.tie_word_embeddings:
        state["unembed.W_U"] = hf.lm_head.weight.T
    model.load_state_dict(state, strict=False)
    return model


def sweep(name, model, corrupt, cache, metric):
    return getattr(patching, "get_act_patch_" + name)(model, corrupt, cache, metric)


def ablations(model, prompts):
    """Change of the mean loss when each head's z, and each MLP, is zeroed or set to its mean by position."""
    out = {}
    names = [f"blocks.{l}.{s}" for l in range(model.cfg.n_layers) for s in ("attn.hook_z", "hook_mlp_out")]
    caches = [model.run_with_cache(torch.tensor([p]))[1] for p in prompts]
    mean = {n: torch.stack([c[n] for c in caches]).mean(0) for n in names}
    for mode in ("zero", "mean"):
        z = torch.zeros(len(prompts), model.cfg.n_layers, model.cfg.n_heads)
        m = torch.zeros(len(prompts), model.cfg.n_layers)
        for i, p in enumerate(prompts):
            x = torch.tensor([p])
            base = model(x, return_type="loss")
            for l in range(model.cfg.n_layers):
                def put(act, hook, h=slice(None)):
                    act = act.clone()
                    act[:, :, h] = 0 if mode == "zero" else mean[hook.name][:, :, h]
                    return act
                for h in range(model.cfg.n_heads):
                    z[i, l, h] = model.run_with_hooks(x, return_type="loss", fwd_hooks=[
                        (f"blocks.{l}.attn.hook_z", lambda a, hook, h=h: put(a, hook, h))]) - base
                m[i, l] = model.run_with_hooks(
                    x, return_type="loss", fwd_hooks=[(f"blocks.{l}.hook_mlp_out", put)]) - base
        out[mode] = {"effect": rounded(z.mean(0)), "effect_mlp_out": rounded(m.mean(0))}
    return out


def tracing(model, clean, begin, end, samples=3, window=2):
    """Indirect effects as Meng et al. measure them, with numpy's legacy normals."""
    L, T, C = model.cfg.n_layers, len(clean), model.cfg.d_model
    rows = model.W_E[torch.tensor(clean[begin:end])]
    sd = 3 * float(rows.std())
    noise = torch.tensor(np.random.RandomState(1).randn(samples, end - begin, C)) * sd
    x = torch.tensor([clean])
    logits, cache = model.run_with_cache(x)
    target = int(logits[0, -1].argmax())
    high = float(logits[0, -1].softmax(-1)[target])

    def noised(act, hook):
        act = act.expand(samples, -1, -1).clone()
        act[:, begin:end] += noise
        return act

    def prob(hooks):
        y = model.run_with_hooks(x.expand(samples, -1), fwd_hooks=[("hook_embed", noised)] + hooks)
        return y[:, -1].softmax(-1)[:, target]
    low = prob([])
    out = torch.zeros(3, L, T)
    for k, site in enumerate(("hook_resid_post", "hook_mlp_out", "hook_attn_out")):
        for l in range(L):
            lo, hi = (l, l + 1) if k == 0 else (max(0, l - window // 2), min(L, l + (window + 1) // 2))
            for t in range(T):
                def put(act, hook):
                    act = act.clone()
                    act[:, t] = cache[hook.name][:, t]
                    return act
                out[k, l, t] = (prob([(f"blocks.{i}.{site}", put) for i in range(lo, hi)]) - low).mean()
    return {"target": target, "sd": sd, "high": high, "low": float(low.mean()),
            "samples": samples, "window": window, "effect": rounded(out)}


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    out = {}
    for name in VARIANTS:
        model = hooked(load(os.path.join(sys.argv[1], name)))
        V, T = model.cfg.d_vocab, min(model.cfg.n_ctx, 6)
        clean = [(i * 7919 + 13) % V for i in range(T)]
        corrupt = list(clean)
        corrupt[1] = (clean[1] + 5) % V
        corrupt[3] = (clean[3] + 3) % V
        a, b = 1, V - 2

        def metric(logits):
            return logits[0, -1, a] - logits[0, -1, b]
        with torch.no_grad():
            logits, cache = model.run_with_cache(torch.tensor([clean]))
            x = torch.tensor([corrupt])
            out[name] = {"clean": clean, "corrupt": corrupt, "answer": a, "wrong": b,
                         "clean_metric": float(metric(logits)),
                         "corrupt_metric": float(metric(model(x)))}
            if name in ("plain", "deep", "lnfree"):
                out[name]["ablate"] = ablations(model, [clean, corrupt])
                out[name]["trace"] = tracing(model, clean, 1, 4)
            for s in SWEEPS:
                y = sweep(s, model, x, cache, metric)
                out[name][s] = {"shape": list(y.shape), "values": [float(f"{v:.7g}") for v in rounded(y)]}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
