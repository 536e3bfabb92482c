#!/usr/bin/python3
"""--max-mem is true: what it allows is not exceeded, what cannot fit is refused beforehand.

    maxmem.py SONDE

Measures the peak of the process (ru_maxrss) of passes, gradients, resampled edits and generation under
limits, against the same command's peak on one token: the program itself and the weights."""
import os
import subprocess
import sys
import tempfile

sonde = sys.argv[1]
SANITIZED = b"__asan_init" in open(sonde, "rb").read()  # keeps what was freed: its peak says nothing
scratch = tempfile.TemporaryDirectory()
TMP = scratch.name
TEXT = ("When Mara and Tobin went to the harbour, Mara gave the lantern to " * 16).strip()
MANY = os.path.join(TMP, "many.txt")
with open(MANY, "w") as f:
    f.write((TEXT + "\n") * 12)
failed = 0


def measure(*args):
    p = subprocess.Popen([sonde, *args, "-q", "-t", "2"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    err = p.stderr.read().decode()
    _, status, usage = os.wait4(p.pid, 0)
    return os.waitstatus_to_exitcode(status), 0 if SANITIZED else usage.ru_maxrss * 1024, err


def fault(what):
    global failed
    failed += 1
    print("FAILED", what)


OUT = ("-o", os.path.join(TMP, "x.h5"))
FILE = ("-f", MANY, "--lines", "--truncate")
# Beside the limit: buffers of the drawing and the allocator's own; a file also has HDF5's caches, which
# stop growing at about 60 MB.
MARGIN, HDF5 = 8e6, 64e6
commands = {
    "lens": ("run", "lens"),
    "pattern": ("run", "attention"),
    "edited pattern": ("run", "logits", "--edit", "L1.pattern=zero"),
    "mean edit": ("run", "norms", "--edit", "L2.resid_post=mean"),
    "gradients": ("run", "gradients"),
}
for name, head in commands.items():
    for out, margin in (((), MARGIN), (OUT, HDF5)):
        code, base, err = measure(*head, "-p", "Mara", *out)
        if code:
            fault(f"{name}: {err}")
            continue
        for limit in (12e6, 30e6, 90e6) if not out else (12e6,):
            code, peak, err = measure(*head, *FILE, *out, "--max-mem", f"{limit / 1e6:.0f}M")
            if code == 4:
                if "--max-mem" not in err or "MB" not in err:
                    fault(f"{name} at {limit / 1e6:.0f} MB refuses without number or remedy: {err}")
            elif code or peak > base + limit + margin:
                fault(f"{name} at {limit / 1e6:.0f} MB: exit {code}, peak {peak / 1e6:.1f} MB over "
                      f"{base / 1e6:.1f} MB on one word {err}")

code, base, err = measure("generate", "-p", "Mara", "-n", "1")
for limit in (8e6, 16e6):
    code, peak, err = measure("generate", "-p", TEXT, "--truncate", "-n", "4", "--max-mem",
                              f"{limit / 1e6:.0f}M")
    if code not in (0, 4) or (code == 0 and peak > base + limit + 4e6):
        fault(f"generate at {limit / 1e6:.0f} MB: exit {code}, peak {peak / 1e6:.1f} MB {err}")

# A limit below the weights says so; one that the largest input cannot meet is known before any work.
code, _, err = measure("run", "lens", "-p", "Mara", "--max-mem", "1M")
if code != 4 or "weights" not in err:
    fault(f"1 MB for a model: exit {code} {err}")
code, _, err = measure("run", "gradients", "--filter", ".", *FILE, "--max-mem", "6M", *OUT)
if code != 4 or "needs" not in err or os.path.exists(OUT[1] + ".part"):
    fault(f"gradients that cannot fit: exit {code} {err}")
# Causal tools say beforehand what they need: refused before any work, or within the limit.
PAIRS = ("--dataset", "ioi_tiny:4")
_, base, _ = measure("run", "norms", "-p", "Mara")
for run in ("attr --site neuron_by_pos", "ablate", "trace --samples 1 --window 1", "heads --copying tokens",
            "saliency", "edges", "path --receivers all", "patch --site resid_pre"):
    for limit in (4e6, 60e6):
        code, peak, err = measure("run", *run.split(), *PAIRS, "--max-mem", f"{limit / 1e6:.0f}M")
        if limit < 10e6 and (code != 4 or "needs" not in err or "--max-mem" not in err):
            fault(f"{run} at {limit / 1e6:.0f} MB: exit {code} {err}")
        if limit > 10e6 and (code or peak > base + limit + MARGIN):
            fault(f"{run} at {limit / 1e6:.0f} MB: exit {code}, peak {peak / 1e6:.1f} MB {err}")

# Results that stay in memory count as well.
code, _, err = measure("run", "logits", *FILE, "--max-mem", "12M")
if code != 4 or "-o FILE" not in err:
    fault(f"results beyond the limit: exit {code} {err}")
print(f"{failed} failed")
sys.exit(failed > 0)
