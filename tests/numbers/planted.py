#!/usr/bin/python3
"""Plants one wrong number and expects every judge of numbers to notice.

    planted.py SONDE MODELS GOLDENS.json CHECK.py UNIT_TEST

One weight of one model is changed by 1 %. Then the comparison with the references, the unit test against the
goldens and `sonde diff` must fail; on the untouched copy all of them must pass, so that they fail for this
reason and no other."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sonde, models, goldens, check, unit = map(os.path.abspath, sys.argv[1:6])
tmp = tempfile.mkdtemp(prefix="sonde-planted-")
env = dict(os.environ, XDG_CACHE_HOME=os.path.join(tmp, "cache"), SONDE_CONFIG="/dev/null")
failed = 0


def plant(path, name):
    """The largest value of a tensor, times 1.01."""
    with open(path, "r+b") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        t = json.loads(f.read(n))[name]
        assert t["dtype"] == "F32"
        begin, end = t["data_offsets"]
        f.seek(8 + n + begin)
        values = struct.unpack(f"<{(end - begin) // 4}f", f.read(end - begin))
        i = max(range(len(values)), key=lambda k: abs(values[k]))
        f.seek(8 + n + begin + 4 * i)
        f.write(struct.pack("<f", values[i] * 1.01))


def judge(what, want_zero, *cmd, **more):
    global failed
    r = subprocess.run(cmd, capture_output=True, text=True, env=dict(env, **more))
    if (r.returncode == 0) != want_zero:
        failed += 1
        print(f"FAILED {what}: exit {r.returncode}\n{(r.stdout + r.stderr)[-600:]}")


one = os.path.join(tmp, "one.json")
json.dump({"plain": json.load(open(goldens))["plain"]}, open(one, "w"))
true, false = os.path.join(tmp, "true"), os.path.join(tmp, "false")
shutil.copytree(models, true)
shutil.copytree(models, false)
weights = os.path.join(false, "plain", "model.safetensors")
prefix = "transformer." if b"transformer." in open(weights, "rb").read(20000) else ""
plant(weights, prefix + "h.1.mlp.c_fc.weight")
for folder, good in ((true, True), (false, False)):
    judge(f"references, good={good}", good, sys.executable, check, sonde, folder, one)
    judge(f"goldens, good={good}", good, unit, SONDE_TEST_MODELS=folder)
    subprocess.run([sonde, "run", "logits", "-q", "-m", os.path.join(folder, "plain"), "--tokens", "1,2,3", "-o",
                    folder + ".h5"], check=True, env=env)
judge("diff of equal reports", True, sonde, "diff", true + ".h5", true + ".h5")
judge("diff of different reports", False, sonde, "diff", true + ".h5", false + ".h5")
judge("diff within a wide tolerance still sees the model's hash", False, sonde, "diff", "--atol", "1e9", true + ".h5",
      false + ".h5")
shutil.rmtree(tmp)
print("the planted number was noticed" if not failed else f"{failed} judges are asleep")
sys.exit(failed > 0)
