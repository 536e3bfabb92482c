#!/usr/bin/env python3
"""Goldens of activation patching: every get_act_patch_* function of TransformerLens 2.18, in fp64.

    make_patch_goldens.py MODELS OUT.json

MODELS is a folder of make_models.py; OUT.json is committed as goldens/patch.json and read by
check_patch.py. Two prompts of given ids that differ in two places, the clean one patched into the
corrupt one; the metric is a logit difference at the last position. Run it in an environment with torch,
transformers and transformer_lens."""
import json
import os
import sys

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
            for s in SWEEPS:
                y = sweep(s, model, x, cache, metric)
                out[name][s] = {"shape": list(y.shape), "values": [float(f"{v:.7g}") for v in rounded(y)]}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
