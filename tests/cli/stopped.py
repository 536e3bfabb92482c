#!/usr/bin/python3
"""A run over a data set that is stopped keeps what is finished: stopped.py SONDE. SIGINT, SIGTERM and SIGHUP,
in every analysis that takes pairs: 130, how many pairs of how many, and a readable FILE.part."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

SONDE = os.path.abspath(sys.argv[1])
RUNS = {"patch": "--site resid_pre", "attr": "", "ablate": "--mode zero", "trace": "--samples 1", "heads": "",
        "saliency": "--steps 2 --tolerance 0", "edges": "--method eap", "path": ""}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
N = 3000
failed = 0


def check(ok, what):
    global failed
    failed += not ok
    if not ok:
        print("FAILED", what)


def stop(name, sig, pairs, out):
    """Once a few pairs are through, by its own account of them."""
    p = subprocess.Popen([SONDE, "run", name, *RUNS[name].split(), "-f", pairs, "-o", out, "-t", "1",
                          "--progress", "json"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in p.stderr:
        done = re.search(r'"done":([0-9.e+]+)', line.replace(" ", ""))
        if done and float(done[1]) > 0:
            break
    time.sleep(0.3)
    p.send_signal(sig)
    return p.communicate(timeout=60)[1], p.returncode


def main():
    with tempfile.TemporaryDirectory(prefix="sonde-stopped-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        pairs, out = os.path.join(folder, "pairs.jsonl"), os.path.join(folder, "out.h5")
        with open(pairs, "w") as f:
            subprocess.run([SONDE, "dataset", "-q", f"ioi_tiny:{N}"], stdout=f, check=True)
        for i, name in enumerate(RUNS):
            sig = SIGNALS[i % 3]
            what = f"{name}, {sig.name}"
            kind = "inputs" if name == "heads" else "pairs"  # which takes prompts
            err, code = stop(name, sig, pairs, out)
            told = re.search(rf"interrupted after (\d+) of {N} {kind}", err)
            check(code == 130, f"{what}: exit {code}")
            check(told, f"{what}: {err[-300:]!r}")
            check("what was finished is in" in err, f"{what}: does not say where it is")
            check(not os.path.exists(out), f"{what}: a half report under the real name")
            show = subprocess.run([SONDE, "show", out + ".part"], capture_output=True, text=True)
            check(show.returncode == 0 and "cancelled" in show.stdout, f"{what}: {show.stderr} {show.stdout[:300]}")
            print(f"{what}: {told and told[0]}", flush=True)
            if os.path.exists(out + ".part"):
                os.unlink(out + ".part")
    print(f"{failed} failed")
    return failed > 0


sys.exit(main())
