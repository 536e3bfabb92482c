#!/usr/bin/python3
"""Makes small GPT-2 models with random weights for the tests; needs python3 and numpy alone.

    make_models.py OUT                 every variant of VARIANTS below, as OUT/NAME/
    make_models.py OUT NAME...         some of them
    make_models.py OUT --stamp FILE    all, then touch FILE (for build systems)
    make_models.py --list              their names, one a line
    make_models.py --shape gpt2 DIR    one model of GPT-2's shape (gpt2, gpt2-medium, gpt2-large,
                                       gpt2-xl), weights normal(0, 0.02): for benchmarks
        [--dtype F32|F16|BF16] [--seed N] [--lnfree] [--no-tokenizer]

The bytes depend on the name and the seed alone (numpy's frozen RandomState). Every model is a
Hugging Face folder: config.json, model.safetensors (or shards and an index) and, where the vocabulary
has room for one (TOKENIZER_V), vocab.json and merges.txt. read_safetensors and write_safetensors may
be imported by other tests.
"""
import json
import os
import struct
import sys
import zlib

import numpy as np

SHAPES = {
    "gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280), "gpt2-xl": (48, 25, 1600),
}

# Merges of the test tokenizer, in rank order; each joins two tokens that exist by then.
MERGES = """Ġ t|Ġ a|h e|i n|r e|o n|Ġt he|e r|a t|Ġ s|n d|Ġ w|Ġ o|o r|o u|Ġ c|e s|Ġ b|i t|Ġ m|e d|i s|
Ġ p|Ġa nd|in g|Ġo f|e n|a n|Ġt o|a l|a r|Ġ f|Ġ in|Ġ d|Ġ h|l e|o m|i c|a s|Ġw as|Ġh e|l l|r o|Ġ M|e a|
Ġ n|Ġb e|Ġ l|Ġ g|v e|Ġs t|Ġf or|Ġ y|l o""".replace("\n", "").split("|")

SMALL = dict(n_layer=2, n_head=3, n_embd=12, n_inner=23, vocab_size=29, n_positions=19)

# name -> (config over SMALL, what else). `dtype`, `mixed`, `shards`, `prefix`, `masks`, `untied`,
# `lnfree`, `fakeln`, `head`: see make().
VARIANTS = {
    "small": (dict(), {}),
    "plain": (dict(n_head=3, n_embd=33, n_inner=None, vocab_size=311, n_positions=67), {}),
    "prime": (dict( n_head=1, n_embd=19, n_inner=53, vocab_size=61, n_positions=23), {}),
    "narrow": (dict(n_layer=1, n_head=5, n_embd=35, n_inner=7, vocab_size=13), {}),
    "least": (dict(n_layer=1, n_head=2, n_embd=2, n_inner=1, vocab_size=3, n_positions=5), {}),
    "deep": (dict(n_layer=11, n_head=2, n_embd=10, n_inner=17), {}),
    "wide": (dict(n_layer=1, n_head=4, n_embd=68, n_inner=None, vocab_size=1031, n_positions=131), {}),
    "noscale": (dict(scale_attn_weights=False), {}),
    "bylayer": (dict(scale_attn_by_inverse_layer_idx=True, n_layer=3), {}),
    "noscale-bylayer": (
        dict(scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True), {}),
    "upcast": (dict(reorder_and_upcast_attn=True), {}),
    "eps": (dict(layer_norm_epsilon=0.3), {}),
    "f16": (dict(), dict(dtype="F16")),
    "bf16": (dict(), dict(dtype="BF16")),
    "mixed": (dict(), dict(mixed=True)),
    "shards": (dict(n_layer=3), dict(shards=3)),
    "untied": (dict(tie_word_embeddings=False), dict(untied=True, prefix=True)),
    "untied-f16": (dict(tie_word_embeddings=False), dict(untied=True, prefix=True, dtype="F16")),
    "head-ignored": (dict(), dict(untied=True, prefix=True)),
    "prefix-masks": (dict(), dict(prefix=True, masks=True)),
    "masks": (dict(), dict(masks=True)),
    "lnfree": (dict(layer_norm_epsilon=1e12), dict(lnfree=True)),
    "lnfree-bf16": (dict(layer_norm_epsilon=1e12), dict(lnfree=True, dtype="BF16")),
    "lnfree-no-eps": (dict(layer_norm_epsilon=None), dict(lnfree=True)),
    "lnfree-folded": (dict(layer_norm_epsilon=1e12), dict(lnfree="folded")),
    "fakeln": (dict(), dict(fakeln="all")),
    "fakeln-partial": (dict(), dict(fakeln="part")),
    "tokens": (dict(vocab_size=311), {}),
}
for act in ("gelu_new gelu_pytorch_tanh gelu_fast gelu gelu_10 quick_gelu relu relu2 relu6 leaky_relu "
            "silu swish sigmoid tanh linear mish laplace hardswish sqrtsoftplus").split():
    VARIANTS["act-" + act] = (dict(activation_function=act), {})
# Models that must be refused; goldens leave them out.
REFUSED = {"fakeln-partial"}
TOKENIZER_V = 256 + len(MERGES) + 1


def to_bytes(x, dtype):
    x = np.ascontiguousarray(x)
    if dtype == "BF16":
        u = x.astype("<f4").view("<u4")
        return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return x.astype({"F32": "<f4", "F16": "<f2", "BOOL": "?", "I32": "<i4", "F64": "<f8"}[dtype]).tobytes()


def write_safetensors(path, tensors, metadata=None):
    """tensors: {name: (dtype name, numpy array)}, written in the order given."""
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, x) in tensors.items():
        n = int(np.prod(np.shape(x))) * {"F32": 4, "F64": 8, "I32": 4, "BOOL": 1}.get(dtype, 2)
        header[name] = {"dtype": dtype, "shape": list(np.shape(x)), "data_offsets": [at, at + n]}
        at += n
    h = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h)
        for dtype, x in tensors.values():  # one at a time: the large shapes must fit in memory
            f.write(to_bytes(x, dtype))


def read_safetensors(path):
    """{name: numpy array}; BF16 and F16 are widened to float32."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        b = data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            x = (np.frombuffer(b, "<u2").astype("<u4") << 16).view("<f4")
        else:
            x = np.frombuffer(b, {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BOOL": "?", "U8": "u1",
                                  "I32": "<i4", "I64": "<i8"}[t["dtype"]])
            x = x.astype("<f4") if t["dtype"] == "F16" else x
        out[name] = x.reshape(t["shape"])
    return out


def byte_names():
    """GPT-2's printable stand-ins of the 256 bytes, in byte order."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in names:
            names[b] = chr(256 + extra)
            extra += 1
    return [names[b] for b in range(256)]


def write_tokenizer(folder):
    vocab = {}
    for t in byte_names() + [m.replace(" ", "") for m in MERGES]:
        vocab.setdefault(t, len(vocab))
    vocab["<|endoftext|>"] = len(vocab)
    with open(folder + "/vocab.json", "w", encoding="utf-8") as f:
        json.dump(vocab, f, ensure_ascii=False)
    with open(folder + "/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(m + "\n" for m in MERGES))


def random_weights(cfg, seed, trained=True):
    """Unprefixed state dict, float32. trained: gammas, betas and biases are not at their initial
    values, and the matrices are strong enough for attention to be far from uniform."""
    r = np.random.RandomState(seed)
    L, C, V = cfg["n_layer"], cfg["n_embd"], cfg["vocab_size"]
    F = cfg["n_inner"] or 4 * C

    def normal(std, *shape):
        x = r.standard_normal(int(np.prod(shape))).astype(np.float32)
        x *= np.float32(std)
        return x.reshape(shape)

    def matrix(k, n):
        return normal(0.9 / np.sqrt(k) if trained else 0.02, k, n)

    def vector(n):
        return normal(0.1, n) if trained else np.zeros(n, np.float32)

    def gamma(n):
        return 1 + normal(0.2, n) if trained else np.ones(n, np.float32)

    w = {"wte.weight": normal(0.5 if trained else 0.02, V, C),
         "wpe.weight": normal(0.2 if trained else 0.01, cfg["n_positions"], C)}
    for i in range(L):
        h = "h.%d." % i
        w[h + "ln_1.weight"], w[h + "ln_1.bias"] = gamma(C), vector(C)
        w[h + "attn.c_attn.weight"], w[h + "attn.c_attn.bias"] = matrix(C, 3 * C), vector(3 * C)
        w[h + "attn.c_proj.weight"], w[h + "attn.c_proj.bias"] = matrix(C, C), vector(C)
        w[h + "ln_2.weight"], w[h + "ln_2.bias"] = gamma(C), vector(C)
        w[h + "mlp.c_fc.weight"], w[h + "mlp.c_fc.bias"] = matrix(C, F), vector(F)
        w[h + "mlp.c_proj.weight"], w[h + "mlp.c_proj.bias"] = matrix(F, C), vector(C)
    w["ln_f.weight"], w["ln_f.bias"] = gamma(C), vector(C)
    return w


def layer_norms(cfg):
    return ["h.%d.ln_%d" % (i, k) for i in range(cfg["n_layer"]) for k in (1, 2)] + ["ln_f"]


def remove_layer_norms(w, cfg, how):
    """Gives every LN a constant scale s, as the export of an LN-free checkpoint does: gamma becomes
    gamma * 1e6 / s beside eps 1e12. how = "folded": ln_1 and ln_2 are exactly 1e6 and 0."""
    for j, ln in enumerate(layer_norms(cfg)):
        if how == "folded" and ln != "ln_f":
            w[ln + ".weight"] = np.full(cfg["n_embd"], 1e6, np.float32)
            w[ln + ".bias"] = np.zeros(cfg["n_embd"], np.float32)
        else:
            w[ln + ".weight"] = w[ln + ".weight"] * np.float32(1e6 / (0.8 + 0.1 * (j % 7)))


def add_fake_buffers(w, cfg, how):
    """The buffers of a raw FakeLN training checkpoint: the scale lies at index 1."""
    for j, ln in enumerate(layer_norms(cfg)):
        real = how == "part" and ln == "ln_f"
        sd = np.full(cfg["n_embd"], 0.8 + 0.1 * (j % 7), np.float32)
        w[ln + ".average_std_buffer"], w[ln + ".bos_std_buffer"] = sd, sd
        w[ln + ".is_fake"] = np.array(not real)
        w[ln + ".attn_v_is_fake"] = np.array(ln.endswith("ln_1"))
        w[ln + ".bos_special_treatment"] = np.array(False)
        for k, v in (("real_average_std", sd[0]), ("real_bos_std", sd[0]), ("momentum", 0.9)):
            w[ln + "." + k] = np.array(v, np.float32)
        w[ln + ".grad_acc_steps"] = np.array(1, np.int32)


def dtype_of(x, k, what):
    if x.dtype == bool or x.dtype == np.int32:
        return {"bool": "BOOL", "int32": "I32"}[x.dtype.name]
    if what.get("mixed"):
        return ("F32", "F16", "BF16")[k % 3]
    return what.get("dtype", "F32")


def make(folder, cfg, what, seed, trained=True, tokenizer=True):
    """Writes one model. cfg: config.json's numbers (None: leave the key out, except n_inner)."""
    os.makedirs(folder, exist_ok=True)
    w = random_weights(cfg, seed, trained)
    if what.get("untied"):
        r = np.random.RandomState(seed + 1)
        w["lm_head.weight"] = (0.4 * r.standard_normal(w["wte.weight"].shape)).astype(np.float32)
    if what.get("lnfree"):
        remove_layer_norms(w, cfg, what["lnfree"])
    if what.get("fakeln"):
        add_fake_buffers(w, cfg, what["fakeln"])
    if what.get("masks"):
        n = cfg["n_positions"]
        for i in range(cfg["n_layer"]):
            w["h.%d.attn.bias" % i] = np.tril(np.ones((1, 1, n, n), np.float32))
            w["h.%d.attn.masked_bias" % i] = np.array(-1e4, np.float32)
    if what.get("prefix"):
        w = {(k if k == "lm_head.weight" else "transformer." + k): v for k, v in w.items()}
    typed = {k: (dtype_of(v, i, what), v) for i, (k, v) in enumerate(w.items())}

    meta = {"format": "pt"}
    shards = what.get("shards")
    if shards:
        names, where = list(typed), {}
        for s in range(shards):
            file = "model-%05d-of-%05d.safetensors" % (s + 1, shards)
            part = {k: typed[k] for k in names[s::shards]}
            where.update({k: file for k in part})
            write_safetensors(folder + "/" + file, part, meta)
        total = sum(len(to_bytes(v, d)) for d, v in typed.values())
        with open(folder + "/model.safetensors.index.json", "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f)
    else:
        write_safetensors(folder + "/model.safetensors", typed, meta)

    eot = cfg["vocab_size"] - 1
    config = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", activation_function="gelu_new",
                  layer_norm_epsilon=1e-5, bos_token_id=eot, eos_token_id=eot, torch_dtype="float32",
                  attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    config.update(cfg)
    config = {k: v for k, v in config.items() if v is not None or k == "n_inner"}
    with open(folder + "/config.json", "w") as f:
        json.dump(config, f, indent=1)
    if tokenizer and cfg["vocab_size"] == TOKENIZER_V:
        write_tokenizer(folder)


def make_variant(out, name):
    cfg, what = VARIANTS[name]
    # act-* models share their weights, so that a wrong function shows as a wrong function.
    seed = zlib.crc32(b"act" if name.startswith("act-") else name.encode()) & 0x7FFFFFFF
    make(os.path.join(out, name), {**SMALL, **cfg}, what, seed)


def make_shape(argv):
    shape, folder, rest = argv[0], argv[1], argv[2:]
    option = {rest[i]: rest[i + 1] for i in range(len(rest) - 1) if rest[i] in ("--dtype", "--seed")}
    L, H, C = SHAPES[shape]
    what = dict(dtype=option.get("--dtype", "F32"))
    cfg = dict(n_layer=L, n_head=H, n_embd=C, n_inner=None, vocab_size=50257, n_positions=1024, n_ctx=1024)
    if "--lnfree" in rest:
        what["lnfree"], cfg["layer_norm_epsilon"] = True, 1e12
    make(folder, cfg, what, int(option.get("--seed", "0")), trained=False, tokenizer=False)


def main(argv):
    if argv[:1] == ["--list"]:
        print("\n".join(VARIANTS))
    elif argv[:1] == ["--shape"] and len(argv) >= 3 and argv[1] in SHAPES:
        make_shape(argv[1:])
    elif argv and not argv[0].startswith("-"):
        stamp = argv[2] if argv[1:2] == ["--stamp"] else None
        for name in (argv[1:] if not stamp else None) or VARIANTS:
            make_variant(argv[0], name)
        if stamp:
            open(stamp, "w").close()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
