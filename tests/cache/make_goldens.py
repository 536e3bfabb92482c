#!/usr/bin/env python3
"""Every activation of a small random model as TransformerLens 2.18 caches it, for tests/cache/values.py.

    make_goldens.py MODELS OUT.npz

MODELS is a folder of tests/numbers/make_models.py; OUT.npz is committed as tests/cache/goldens.npz. fp64, so that the
golden is nearer the truth than either fp32 engine; stored as fp32. Needs torch, transformers and transformer_lens."""
import os
import sys

import numpy as np
import torch
import transformer_lens as tl
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'numbers'))
from make_analysis_goldens import load  # noqa: E402

VARIANT = 'plain'
SEQUENCES = [[(i * 7919 + 13) % 311 for i in range(13)], [5], [(i * 31 + 7) % 311 for i in range(5)]]


def main(models, out):
    hf = load(os.path.join(models, VARIANT))
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head,
        d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=c.vocab_size, act_fn='gelu_new', eps=c.layer_norm_epsilon,
        normalization_type='LN', use_attn_result=True, device='cpu', dtype=torch.float64, use_hook_mlp_in=True)
    model = tl.HookedTransformer(cfg)
    cfg.use_attn_scale = True
    state = convert_gpt2_weights(hf, cfg)
    model.load_state_dict({k: v.double() for k, v in state.items()}, strict=False)
    model = model.double()
    arrays = {'variant': np.array(VARIANT)}
    with torch.no_grad():
        for i, ids in enumerate(SEQUENCES):
            logits, cache = model.run_with_cache(torch.tensor([ids]), prepend_bos=False)
            want = hf.double()(torch.tensor([ids])).logits
            assert torch.allclose(logits, want, atol=1e-9), 'the two references disagree'
            arrays[f'{i}/tokens'] = np.array(ids, 'i4')
            for name, x in cache.items():
                arrays[f'{i}/{name}'] = x[0].numpy().astype('f4')
    np.savez_compressed(out, **arrays)
    print(len(arrays), 'arrays', os.path.getsize(out), 'bytes')


main(*sys.argv[1:3])
