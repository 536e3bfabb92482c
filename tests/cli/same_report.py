#!/usr/bin/python3
"""Two reports, object by object and byte by byte: same_report.py A.h5 B.h5. The attributes command and
threads, which say how a document came about, are left out. Exit status 1 and a line per difference."""
import sys

import h5py
import numpy

LEFT_OUT = {"command", "threads"}
# Object references are addresses within a file.
SCALES = {"DIMENSION_LIST", "REFERENCE_LIST"}


def content(value):
    if isinstance(value, numpy.ndarray):
        if value.dtype.kind == "O":
            return [content(v) for v in value.ravel()]
        return (value.dtype.str, value.shape, value.tobytes())
    return value.tobytes() if isinstance(value, numpy.generic) else value


def objects(path):
    found = {}
    with h5py.File(path, "r") as f:
        def visit(name, obj):
            attrs = {k: content(v) for k, v in obj.attrs.items() if k not in LEFT_OUT | SCALES}
            data = None
            if isinstance(obj, h5py.Dataset):
                data = (obj.dtype.str, obj.shape, content(obj[()]))
                attrs["scales"] = [[s.name for s in d.values()] for d in obj.dims]
            found[name] = (type(obj).__name__, attrs, data)
        visit("/", f)
        f.visititems(visit)
    return found


def main():
    a, b = objects(sys.argv[1]), objects(sys.argv[2])
    wrong = 0
    for name in sorted(set(a) | set(b)):
        if a.get(name) == b.get(name):
            continue
        wrong += 1
        if name not in a or name not in b:
            print(f"{name} is in {'the second' if name in b else 'the first'} alone")
        elif a[name][1] != b[name][1]:
            keys = [k for k in set(a[name][1]) | set(b[name][1]) if a[name][1].get(k) != b[name][1].get(k)]
            print(f"{name}: attributes {', '.join(sorted(keys))} differ")
        else:
            print(f"{name}: the data differ")
    runs = sum(1 for n in a if n.count("/") == 1 and n.startswith("runs/"))
    print(f"{len(a)} objects, {runs} runs, {wrong} differ")
    return 1 if wrong or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
