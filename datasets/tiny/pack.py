#!/usr/bin/env python3
"""Rounds a checkpoint to F16: pack.py CHECKPOINT/model.safetensors OUT/model.safetensors

Tensors keep their names without "transformer."; mask buffers and a tied lm_head are left out. Only
the standard library is needed.
"""
import array
import json
import struct
import sys


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return header, memoryview(data)[8 + n:]


def to_half(name, info, data):
    begin, end = info["data_offsets"]
    if info["dtype"] == "F16":
        return bytes(data[begin:end])
    if info["dtype"] != "F32":
        sys.exit(f"pack.py: {name} is {info['dtype']}, expected F32")
    values = array.array("f", bytes(data[begin:end]))
    try:
        return struct.pack(f"<{len(values)}e", *values)
    except OverflowError:
        sys.exit(f"pack.py: {name} has a value beyond F16")


def main():
    header, data = read(sys.argv[1])
    out, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(header):
        short = name.removeprefix("transformer.")
        if short.endswith((".attn.bias", ".attn.masked_bias")) or short == "lm_head.weight":
            continue
        blob = to_half(name, header[name], data)
        out[short] = {"dtype": "F16", "shape": header[name]["shape"],
                      "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[2], "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(blobs)
    print(f"{len(blobs)} tensors, {at} bytes")


if __name__ == "__main__":
    main()
