#!/usr/bin/env python3
"""Goldens of the analyses, from transformers (eager) and TransformerLens 2.18.

    make_analysis_goldens.py MODELS OUT.json

MODELS is a folder of make_models.py; OUT.json is committed as goldens/analyses.json and read by
check_analyses.py. For each variant and one prompt of given ids: logits, loss, the logit lens with
statistics of its own, attention patterns, residual norms, and direct logit attribution in the folded
view of TransformerLens. Run it in an environment with torch, transformers and transformer_lens."""
import json
import os
import sys

import numpy as np
import torch
import transformers
import transformer_lens as tl
from make_models import read_safetensors
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

VARIANTS = ["plain", "prime", "narrow", "wide", "bylayer", "untied", "eps", "deep"]


def prompt(cfg):
    n = min(cfg.n_positions, 11)
    return [(i * 7919 + 13) % cfg.vocab_size for i in range(n)]


def rounded(x):
    return [float(f"{v:.9g}") for v in np.asarray(x, dtype=np.float64).ravel()]


def load(folder):
    config = transformers.GPT2Config.from_pretrained(folder)
    hf = transformers.GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    state = {k if k.startswith(("transformer.", "lm_head.")) else "transformer." + k: torch.tensor(v)
             for k, v in read_safetensors(os.path.join(folder, "model.safetensors")).items()}
    missing, extra = hf.load_state_dict(state, strict=False)
    assert not extra and set(missing) <= {"lm_head.weight"}, (missing, extra)
    hf.tie_weights()
    return hf


def raw_numbers(hf, ids):
    """fp64 throughout, so that the golden is nearer the truth than either fp32 engine."""
    hf = hf.double()
    x = torch.tensor([ids])
    seen = {}

    def keep(name):
        def hook(_, args):
            seen.setdefault(name, args[0][0].detach())  # the lens below calls ln_f again
        return hook
    for i, blk in enumerate(hf.transformer.h):
        blk.register_forward_pre_hook(keep(f"pre_{i}"))
        blk.ln_2.register_forward_pre_hook(keep(f"mid_{i}"))
    hf.transformer.ln_f.register_forward_pre_hook(keep("post"))
    with torch.no_grad():
        out = hf(x, output_attentions=True, use_cache=False)
    L = hf.config.n_layer
    logp = torch.log_softmax(out.logits[0], -1)
    streams = [seen[f"pre_{i}"] for i in range(L)] + [seen["post"]]
    with torch.no_grad():
        lens = torch.stack([torch.log_softmax(hf.lm_head(hf.transformer.ln_f(s)), -1) for s in streams])
    nxt = torch.tensor(ids[1:])
    sites = [seen[f"{w}_{i}"] for i in range(L) for w in ("pre", "mid")] + [seen["post"]]
    rank = (lens > lens.gather(-1, torch.tensor(ids[1:] + [0])[None, :, None].expand(L + 1, -1, 1))).sum(-1)
    return {
        "logits": rounded(out.logits[0]),
        "logprob_next": rounded(logp[torch.arange(len(ids) - 1), nxt]),
        "loss": float(-logp[torch.arange(len(ids) - 1), nxt].mean()),
        "lens_target": rounded(lens[:, torch.arange(len(ids) - 1), nxt]),
        "lens_rank": [int(v) for v in rank[:, :-1].flatten()],
        "lens_entropy": rounded(-(lens.exp() * lens).sum(-1)),
        "lens_kl": rounded((logp.exp() * (logp - lens)).sum(-1)),
        "lens_top": [int(v) for v in lens.argmax(-1).flatten()],
        "pattern": rounded(torch.stack([a[0] for a in out.attentions])),
        "norms": rounded(torch.stack([s.norm(dim=-1) for s in sites])),
    }


def folded(hf):
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
        d_head=c.n_embd // c.n_head, d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=c.vocab_size,
        act_fn=c.activation_function, eps=c.layer_norm_epsilon, normalization_type="LN",
        use_attn_scale=c.scale_attn_weights,
        scale_attn_by_inverse_layer_idx=c.scale_attn_by_inverse_layer_idx, dtype=torch.float64)
    model = tl.HookedTransformer(cfg)
    state = convert_gpt2_weights(hf, cfg)
    if not c.tie_word_embeddings:
        state["unembed.W_U"] = hf.lm_head.weight.T
    model.load_and_process_state_dict(state, fold_ln=True, center_writing_weights=True,
                                      center_unembed=True, fold_value_biases=True)
    return model.double()


def attribution(hf, ids):
    model = folded(hf)
    with torch.no_grad():
        logits, cache = model.run_with_cache(torch.tensor([ids]))
        z = logits[0, -1]
        best, worst = int(z.argmax()), int(z.argmin())
        L, H, C = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_model
        heads = cache.stack_head_results(layer=-1, pos_slice=-1)[:, 0]
        mlps = torch.stack([cache["mlp_out", l][0, -1] for l in range(L)])
        bias = sum(model.blocks[l].attn.b_O for l in range(L))
        stack = torch.cat([cache["embed"][0, -1][None], cache["pos_embed"][0, -1][None], heads, mlps,
                           bias[None]])
        stack = cache.apply_ln_to_stack(stack[:, None, :], layer=-1, pos_slice=-1)[:, 0]
        assert stack.shape == (2 + L * H + L + 1, C)
        out = {}
        for name, d, b in (("one", model.W_U[:, best], model.b_U[best]),
                           ("diff", model.W_U[:, best] - model.W_U[:, worst],
                            model.b_U[best] - model.b_U[worst])):
            out[name] = {"contribution": rounded(stack @ d), "b_u": float(b)}
        out["one"]["true"] = float(z[best])
        out["diff"]["true"] = float(z[best] - z[worst])
    return {"best": best, "worst": worst, **out}


def main():
    torch.set_default_dtype(torch.float64)
    out = {}
    for name in VARIANTS:
        folder = os.path.join(sys.argv[1], name)
        hf = load(folder)
        ids = prompt(hf.config)
        out[name] = {"ids": ids, **raw_numbers(hf, ids), "dla": attribution(hf, ids)}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
