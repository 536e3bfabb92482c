#!/usr/bin/python3
"""Writes the committed corpora of fuzz_safetensors and fuzz_config: small files, good and hostile."""
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "numbers"))
import make_models as mm  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__)) + "/corpus/"


def put(folder, name, data):
    os.makedirs(HERE + folder, exist_ok=True)
    with open(HERE + folder + "/" + name, "wb") as f:
        f.write(data)


def st(header, data=b"", length=None):
    h = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(h) if length is None else length) + h + data


def t(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    one = dict(n_layer=1, n_head=1, n_embd=1, n_inner=1, vocab_size=1, n_positions=1)
    w = mm.random_weights(one, 1)
    for name, change in (("model-f32", "F32"), ("model-bf16", "BF16")):
        mm.write_safetensors("/tmp/corpus.part", {k: (change, v) for k, v in w.items()}, {"format": "pt"})
        put("safetensors", name, open("/tmp/corpus.part", "rb").read())
    mm.add_fake_buffers(w, one, "all")
    mm.write_safetensors("/tmp/corpus.part", {k: (mm.dtype_of(v, 0, {}), v) for k, v in w.items()})
    put("safetensors", "model-fakeln", open("/tmp/corpus.part", "rb").read())
    os.remove("/tmp/corpus.part")
    files = {
        "empty": b"", "short": b"\x10\0\0", "no-tensors": st({}), "metadata": st({"__metadata__": {"a": "b"}}),
        "two": st({"a": t("F32", [2], 0, 8), "b": t("F16", [2], 8, 12)}, bytes(12)),
        "overlap": st({"a": t("F32", [2], 0, 8), "b": t("F32", [2], 4, 12)}, bytes(12)),
        "gap": st({"a": t("F32", [2], 4, 12)}, bytes(12)),
        "behind": st({"a": t("F32", [2], 0, 8)}, bytes(9)),
        "huge-shape": st(b'{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}}', bytes(8)),
        "overflow": st({"a": t("F32", [2 ** 32, 2 ** 32], 0, 8)}, bytes(8)),
        "long-length": st({}, length=2 ** 64 - 1), "deep": st(b"[" * 300 + b"]" * 300),
        "twice": st(b'{"a":1,"a":2}'), "nul": st(b'{"a\\u0000":1}'), "latin1": st(b'{"\xe9":1}'),
        "scalar": st({"s": t("BOOL", [], 0, 1), "e": t("F64", [0, 3], 1, 1)}, b"\1"),
        "prefix": st({"transformer.a": t("U8", [1], 0, 1), "a": t("U8", [1], 1, 2)}, b"\1\2"),
    }
    for name, data in files.items():
        put("safetensors", name, data)


def config():
    base = dict(model_type="gpt2", n_layer=2, n_head=3, n_embd=12, vocab_size=29, n_positions=19)
    files = {
        "least": base, "full": dict(base, n_inner=5, activation_function="swish", layer_norm_epsilon=1e12,
                                    scale_attn_weights=False, tie_word_embeddings=False, bos_token_id=3,
                                    eos_token_id=[1, 2], scale_attn_by_inverse_layer_idx=True, n_ctx=4),
        "cross": dict(base, add_cross_attention=True), "llama": dict(base, model_type="llama"),
        "prelu": dict(base, activation_function="prelu"), "wide": dict(base, n_embd=2 ** 40),
    }
    for name, value in files.items():
        put("config", name, json.dumps(value).encode())
    put("config", "cut", b'{"n_layer": 1, "n_head"')
    put("config", "number", b"1e400")


safetensors()
config()
