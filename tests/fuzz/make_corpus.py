#!/usr/bin/python3
"""Writes the committed corpora of fuzz_safetensors, fuzz_config and fuzz_tokenizer: small files, good and hostile."""
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


def tokenizer():
    names = [chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else None for b in range(256)]
    spare = iter(range(256, 400))
    names = [n or chr(next(spare)) for n in names]
    vocab = {n: i for i, n in enumerate(names)}
    merges = [["h", "e"], ["l", "l"], ["\u0120", "he"], ["he", "ll"], ["a", "a"], ["aa", "aa"]]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    lines = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    base = {"added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
            "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": merges}}
    few = {"a": 0, "b": 1, "ab": 2, "<unk>": 3}
    small = dict(base, model={"type": "BPE", "vocab": few, "merges": ["a b"], "unk_token": "<unk>", "fuse_unk": True})
    added = [dict(id=262, content="<x>", lstrip=True, rstrip=True, special=True), dict(id=263, content="he", single_word=True),
             dict(id=264, content=" \n", normalized=False, rstrip=True), dict(id=265, content="\u00e9", special=True)]
    text = "hello hello  aaaaaaaaa's <x> he \n\n caf\u00e9 \u65e5\u672c 12".encode() + b"\xff\xf0\x9f"
    seeds = {
        "pair": b"p" + json.dumps(vocab).encode() + b"\xfe" + lines.encode() + b"\xfe" + text,
        "pair-small": b"p" + json.dumps(few).encode() + b"\xfea b\n\xfe" + b"abcab ab",
        "twice": b'p{"a":0,"a":1}\xfe\xfe', "same-id": b'p{"a":0,"b":0}\xfe\xfe', "big-id": b'p{"a":99999999999}\xfe\xfe',
        "unknown": b'p{"a":0,"b":1}\xfea b\n\xfe', "no-space": b'p{"a":0}\xfeab\n\xfe', "surrogate": b'p{"\\ud83d":0}\xfe\xfe',
        "json": b"j" + json.dumps(dict(base, added_tokens=added)).encode() + b"\xfe" + text,
        "json-small": b"j" + json.dumps(small).encode() + b"\xfeabcdab  ab",
        "prefix": b"j" + json.dumps(dict(small, pre_tokenizer={"type": "ByteLevel", "use_regex": False})).encode() + b"\xfeab ab",
        "nfc": b"j" + json.dumps(dict(small, normalizer={"type": "NFC"})).encode() + b"\xfe", "deep": b"j" + b"[" * 300 + b"\xfe",
        "added-twice": b"j" + json.dumps(dict(small, added_tokens=[dict(id=4, content="x"), dict(id=4, content="x")])).encode() + b"\xfe",
        "text": b"e" + text, "blanks": b"e \n \xc2\xa0\xe3\x80\x80  x", "quotes": b"e''s'll'l're'r've'v",
        "run": b"e" + b"a" * 700, "broken": b"e\xf0\x9f\x98\xed\xa0\x80\xc0\xaf\xf8\x88\x80\x80\x80",
    }
    for name, data in seeds.items():
        put("tokenizer", name, data)


safetensors()
config()
tokenizer()
