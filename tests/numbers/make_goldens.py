#!/usr/bin/env python3
"""Makes tests/numbers/goldens/NAME.safetensors from the models of make_models.py.

    make_goldens.py [NAME...]      needs torch, transformers 4.57 and transformer_lens 2.18

The reference is transformers' GPT2LMHeadModel (attn_implementation="eager") run in float64 on the
stored weights, so a golden is the exact answer; the fp32 run's own error is printed beside it. The
`plain` model also runs through TransformerLens, which must agree site by site.

A golden holds, as F32 unless said:
    tokens I32 [T]         logits [T, V]        loss F64 [1]: mean nats of the next token
    greedy I32 [n]         greedy continuation of the first 4 tokens (some models)
    SITE                   activations by TransformerLens' names, e.g. blocks.0.attn.hook_z [T, H, D],
                           attn_scores with -inf above the diagonal; hook_normalized as in the raw view
    grad.SITE              d loss / d site
    dparam.TENSOR          d loss / d weight, names as in the file without "transformer."; layer norm
                           weights of an LN-free model: with respect to gamma' = weight / gain
Which model stores what: FULL, everything; the others logits, loss and, but for `plain`, dparam.
"""
import os
import sys
import tempfile
import shutil
import json

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import make_models as mm  # noqa: E402

FULL = ["small", "prime", "noscale-bylayer", "lnfree", "untied"]
NO_GRADS = ["plain", "wide", "deep", "tokens", "swish", "shards", "masks"]
GREEDY = ["small", "prime", "lnfree", "plain", "deep"]
SKIP = mm.REFUSED | {"tokens", "act-gelu_pytorch_tanh", "act-swish", "least"}


def reference(name, torch, transformers, dtype):
    """The model as transformers runs it, in `dtype`; LN-free variants that it cannot read as they are
    stored are rewritten into the exported form first."""
    tmp = tempfile.mkdtemp()
    mm.make_variant(tmp, name)
    folder = os.path.join(tmp, name)
    cfg, what = mm.VARIANTS[name]
    cfg = {**mm.SMALL, **cfg}
    config = transformers.GPT2Config.from_pretrained(folder)
    gain = 1.0
    if what.get("lnfree") or what.get("fakeln"):
        config.layer_norm_epsilon = 1e12
        gain = 1e6
    if what.get("fakeln"):
        w = mm.read_safetensors(folder + "/model.safetensors")
        for ln in mm.layer_norms(cfg):
            sd = w[ln + ".average_std_buffer"][1]
            w[ln + ".weight"] = (w[ln + ".weight"].astype("f8") * 1e6 / sd).astype("f4")
        w = {k: v for k, v in w.items() if k.rsplit(".", 1)[1] in ("weight", "bias")}
        mm.write_safetensors(folder + "/model.safetensors", {k: ("F32", v) for k, v in w.items()},
                             {"format": "pt"})
    if dtype == torch.float64:
        config.reorder_and_upcast_attn = False  # the same numbers; transformers refuses it in fp64
    m = transformers.GPT2LMHeadModel.from_pretrained(
        folder, config=config, torch_dtype=dtype, attn_implementation="eager")
    shutil.rmtree(tmp)
    return m.eval(), cfg, gain


def capture(m, cfg, ids, torch):
    """Runs m and returns {site: tensor}, logits, loss; gradients are filled in by loss.backward()."""
    L, H, C = cfg["n_layer"], cfg["n_head"], cfg["n_embd"]
    D = C // H
    sites, raw, handles = {}, {}, []

    def keep(name, t):
        if t.requires_grad:
            t.retain_grad()
        raw[name] = t

    def out(module, name):
        handles.append(module.register_forward_hook(
            lambda _m, _i, o: keep(name, o[0] if isinstance(o, tuple) else o)))

    def inp(module, name):
        handles.append(module.register_forward_pre_hook(lambda _m, i: keep(name, i[0])))

    tr = m.transformer
    out(tr.wte, "hook_embed")
    out(tr.wpe, "hook_pos_embed")
    for l, b in enumerate(tr.h):
        p = "blocks.%d." % l
        inp(b.ln_1, p + "hook_resid_pre")
        out(b.ln_1, p + "ln1.hook_normalized")
        out(b.attn.c_attn, p + "qkv")
        inp(b.attn.c_proj, p + "attn.hook_z")
        out(b.attn.c_proj, p + "hook_attn_out")
        inp(b.ln_2, p + "hook_resid_mid")
        out(b.ln_2, p + "ln2.hook_normalized")
        out(b.mlp.c_fc, p + "mlp.hook_pre")
        inp(b.mlp.c_proj, p + "mlp.hook_post")
        out(b.mlp.c_proj, p + "hook_mlp_out")
    inp(tr.ln_f, "blocks.%d.hook_resid_post" % (L - 1))
    out(tr.ln_f, "ln_final.hook_normalized")
    o = m(torch.tensor([ids]), output_attentions=True)
    for l, a in enumerate(o.attentions):
        keep("blocks.%d.attn.hook_pattern" % l, a)
    for h in handles:
        h.remove()
    logp = torch.log_softmax(o.logits[0, :-1], -1)
    loss = -logp[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean()
    return raw, o.logits[0], loss


def tidy(raw, cfg, m, gain, torch, grad):
    """{site: numpy} in our names and shapes; grad: gradients instead of values."""
    L, H, C = cfg["n_layer"], cfg["n_head"], cfg["n_embd"]
    D, out = C // H, {}

    def put(name, x):
        out[name] = x.detach().numpy()

    for name, t in raw.items():
        x = t.grad if grad else t
        x = x[0] if x.dim() > 2 else x
        if name.endswith("qkv"):
            p = name[:-3]
            for k, part in zip("qkv", x.split(C, -1)):
                put(p + "attn.hook_" + k, part.reshape(-1, H, D))
        elif name.endswith("hook_z"):
            put(name, x.reshape(-1, H, D))
        else:
            put(name, x)
    for l in range(L if not grad else 0):
        p = "blocks.%d." % l
        q, k = out[p + "attn.hook_q"], out[p + "attn.hook_k"]
        scale = (1 / np.sqrt(D) if m.config.scale_attn_weights else 1.0)
        scale /= (l + 1) if m.config.scale_attn_by_inverse_layer_idx else 1
        s = np.einsum("qhd,khd->hqk", q, k) * scale
        s[:, np.triu(np.ones(s.shape[1:], bool), 1)] = -np.inf
        e = np.exp(s - s.max(-1, keepdims=True))
        assert np.abs(e / e.sum(-1, keepdims=True) - out[p + "attn.hook_pattern"]).max() < 1e-12
        out[p + "attn.hook_attn_scores"] = s
        w = m.transformer.h[l].attn.c_proj.weight.detach().numpy().reshape(H, D, C)
        out[p + "attn.hook_result"] = np.einsum("qhd,hdc->qhc", out[p + "attn.hook_z"], w)
        if gain == 1:
            for ln, site in (("ln1", "hook_resid_pre"), ("ln2", "hook_resid_mid")):
                x = out[p + site]
                out[p + ln + ".hook_scale"] = np.sqrt(
                    x.var(-1, keepdims=True) + m.config.layer_norm_epsilon)
    if not grad:
        for l in range(L - 1):
            out["blocks.%d.hook_resid_post" % l] = out["blocks.%d.hook_resid_pre" % (l + 1)]
    return out


def check_with_tl(m, cfg, ids, sites, logits, torch):
    """TransformerLens on the same weights: the names and shapes of our sites are its own."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    c = HookedTransformerConfig(
        n_layers=cfg["n_layer"], n_heads=cfg["n_head"], d_model=cfg["n_embd"],
        d_head=cfg["n_embd"] // cfg["n_head"], d_mlp=4 * cfg["n_embd"], d_vocab=cfg["vocab_size"],
        n_ctx=cfg["n_positions"], act_fn="gelu_new", eps=1e-5, normalization_type="LN",
        dtype=torch.float64)
    tl = HookedTransformer(c)
    tl.load_and_process_state_dict(convert_gpt2_weights(m, c), fold_ln=False,
                                   center_writing_weights=False, center_unembed=False,
                                   fold_value_biases=False)
    tl.set_use_attn_result(True)
    got, cache = tl.run_with_cache(torch.tensor([ids]))
    worst = np.abs(got[0].detach().numpy() - logits).max()
    n = 0
    for name, x in sites.items():
        y = cache[name].detach().numpy()
        y = y[0] if y.ndim == x.ndim + 1 else y
        assert y.shape == x.shape, (name, y.shape, x.shape)
        fin = np.isfinite(x)
        assert (np.isfinite(y) == fin).all() or name.endswith("scores"), name
        worst = max(worst, np.abs(y[fin] - x[fin]).max())
        n += 1
    print("    TransformerLens: %d sites, max difference %.1e" % (n, worst))
    assert worst < 1e-6 and n > 30


def golden(name, torch, transformers):
    m, cfg, gain = reference(name, torch, transformers, torch.float64)
    T = min({"plain": 23, "wide": 7}.get(name, 11), cfg["n_positions"])
    r = np.random.RandomState(len(name))
    ids = [int(i) for i in r.randint(0, cfg["vocab_size"], T)]
    ids[T // 2] = ids[1]
    raw, logits, loss = capture(m, cfg, ids, torch)
    loss.backward()
    sites = tidy(raw, cfg, m, gain, torch, False)
    out = {"tokens": ("I32", np.array(ids, np.int32)), "logits": ("F32", logits.detach().numpy()),
           "loss": ("F64", np.array([loss.item()]))}
    if name in FULL:
        out.update({k: ("F32", v) for k, v in sites.items()})
        out.update({"grad." + k: ("F32", v) for k, v in tidy(raw, cfg, m, gain, torch, True).items()})
    if name not in NO_GRADS:
        for k, p in m.named_parameters():
            k = k[len("transformer."):] if k.startswith("transformer.") else k
            is_gamma = k.endswith("weight") and "ln_" in k
            out["dparam." + k] = ("F32", p.grad.numpy() * (gain if is_gamma else 1))
    if name in GREEDY:
        g = m.generate(torch.tensor([ids[:4]]), attention_mask=torch.ones(1, 4, dtype=torch.long),
                       do_sample=False, max_new_tokens=min(12, cfg["n_positions"] - 4),
                       eos_token_id=None, pad_token_id=0)
        out["greedy"] = ("I32", g[0, 4:].numpy().astype(np.int32))
    m32, _, _ = reference(name, torch, transformers, torch.float32)
    got = m32(torch.tensor([ids])).logits[0].detach().numpy()
    print("%-18s T %2d  loss %.6f  max |logit| %.3f  transformers fp32 off by %.1e" % (
        name, T, loss.item(), np.abs(logits.detach().numpy()).max(),
        np.abs(got - logits.detach().numpy()).max()))
    if name == "plain":
        check_with_tl(m, cfg, ids, sites, logits.detach().numpy(), torch)
    os.makedirs(HERE + "/goldens", exist_ok=True)
    mm.write_safetensors(HERE + "/goldens/%s.safetensors" % name, out)


def main(names):
    import torch
    import transformers
    from transformers.activations import ACT2FN
    if "hardswish" not in ACT2FN:
        ACT2FN["hardswish"] = torch.nn.Hardswish
    if "sqrtsoftplus" not in ACT2FN:
        class SqrtSoftplus(torch.nn.Module):
            def forward(self, x):
                return torch.sqrt(torch.nn.functional.softplus(x))
        ACT2FN["sqrtsoftplus"] = SqrtSoftplus
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for name in names or [n for n in mm.VARIANTS if n not in SKIP]:
        golden(name, torch, transformers)


if __name__ == "__main__":
    main(sys.argv[1:])
