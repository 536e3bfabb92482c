#!/usr/bin/python3
"""sonde cache when things go wrong: durability.py SONDE MODELS. Killed at random moments and resumed it has the bytes of
an undisturbed run; damage, missing shards, other models, read-only folders and full disks are told in a line."""
import os
import random
import shutil
import signal
import subprocess
import time

from common import *

rng = random.Random(11)
write_jsonl('c.jsonl', [text(rng, rng.randint(0, 90)) for _ in range(260)])
MAKE = '-f', 'c.jsonl', '--filter', 'resid_post|pattern|ln_final.hook_scale', '--window', 40, '--stride', 30, '--shard-tokens', 4000


def make(out, *more, **k):
    return sonde('cache', *MAKE, '-o', f'{out}.h5', *more, **k)


def start(out, *more):
    return subprocess.Popen([SONDE, 'cache', *map(str, MAKE), '-o', f'{out}.h5', '--resume', '-q', *more], cwd=TMP, env=ENV,
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def same(a, b, what):
    x, y = files(a), files(b)
    check(set(x) == set(y), f'{what}: {sorted(set(x) ^ set(y))}')
    # X.h5 names the folder of its shards: what it holds is compared through h5py.
    for k in set(x) & set(y) - {''}:
        check(x[k] == y[k], f'{what}: {k} differs')
    with h5py.File(path(f'{a}.h5')) as f, h5py.File(path(f'{b}.h5')) as g:
        check(list(f) == list(g) and list(f['acts']) == list(g['acts']), f'{what}: names')
        for k in f:
            if k != 'acts':
                check(np.array_equal(f[k][()], g[k][()]), f'{what}: {k}')
        for k, d in f['acts'].items():
            check(d[()].tobytes() == g['acts'][k][()].tobytes(), f'{what}: {k}')


make('whole')
seconds = 1e9
for i in range(3):  # what an undisturbed run takes, at best
    t0 = time.time()
    start('timed', '--overwrite').communicate()
    seconds = min(seconds, time.time() - t0)
n_shards = len([f for f in files('whole') if f])
check(n_shards >= 3, f'{n_shards} shards')
sonde('cache', 'verify', 'whole.h5')
os.mkdir(path('half.acts'))  # as a killed run leaves it: X.h5 comes last
check('--resume' in sonde('cache', 'verify', 'half.h5', code=3).stderr, 'verify tells of an unfinished run')

# Killed at random moments, again and again, until a run gets through.
kills = 0
for trial in range(6):
    out = f'kil{trial:02d}'
    for attempt in range(6):
        p = start(out)
        try:
            p.wait(timeout=rng.uniform(0.02, 0.5 * seconds) if attempt < 5 else 200)
        except subprocess.TimeoutExpired:
            p.kill()
            kills += 1
            p.communicate()
            for f in os.listdir(path(f'{out}.acts')) if os.path.isdir(path(f'{out}.acts')) else []:
                if f.endswith(('.h5', '.part')):  # whatever has its name is a file that opens
                    with h5py.File(path(f'{out}.acts/{f}')) as h:
                        crc = h['block_crc'][()]
                        check(not f.endswith('.h5') or (crc != 0).all(), f'{f} is whole')
            continue
        check(p.returncode == 0, f'{out}: exit {p.returncode}: {p.communicate()[1]}')
        break
    same(out, 'whole', f'{out} after kills')
    shutil.rmtree(path(f'{out}.acts'))
check(kills > 5, f'{kills} kills')
print(f'{kills} kills, {seconds:.2f} s undisturbed')

# Interrupted: what is finished stays, and the way to go on is told.
p = start('intr')
while p.poll() is None and not os.path.exists(path('intr.acts/shard_00000.h5.part')):
    time.sleep(0.002)
p.send_signal(signal.SIGINT)
err = p.communicate()[1]
check(p.returncode in (0, 130), f'interrupted: {p.returncode} {err}')
make('intr', '--resume')
same('intr', 'whole', 'interrupted')

# Without --resume or --overwrite nothing is touched; a whole cache of the same run is left as it is.
os.rename(path('intr.acts/shard_00001.h5'), path('away.h5'))
os.rename(path('intr.h5'), path('intr-away.h5'))
check('--resume' in make('intr', code=5).stderr, 'the remedy is told')
os.rename(path('away.h5'), path('intr.acts/shard_00001.h5'))
make('intr', '--resume')
before = files('intr')
make('intr')
check(files('intr') == before, 'a second run changes nothing')
check('dtype' in make('intr', '--dtype', 'f16', code=5).stderr, 'another cache is not overwritten')
check('window' in make('intr', '--resume', '--window', 33, code=5).stderr, 'nor resumed')
check('corpus' in sonde('cache', '-p', 'other', *MAKE[2:], '-o', 'intr.h5', '--resume', code=5).stderr, 'nor with another corpus')
make('intr', '--dtype', 'f16', '--overwrite')
check(h5py.File(path('intr.h5'))['acts/ln_final.hook_scale'].dtype == np.float16, '--overwrite')

# Tasks of an array, in any order; the last one joins.
for i in (2, 0, 1):
    r = make('tasks', '--shard', f'{i}/3')
    check(os.path.exists(path('tasks.h5')) == (i == 1), f'task {i} joins')
same('tasks', 'whole', 'tasks')
os.remove(path('tasks.h5'))
shards = [f'tasks.acts/{f}' for f in sorted(files('tasks')) if f]
sonde('cache', 'join', 'tasks.h5', *reversed(shards))
same('tasks', 'whole', 'join')
check('shards' in sonde('cache', 'join', 'x.h5', *shards[:-1], code=3).stderr, 'join of some')
check('same shard' in sonde('cache', 'join', 'x.h5', *shards[:-1], shards[0], code=3).stderr, 'join of one twice')
sonde('cache', 'join', 'x.h5', 'whole.h5', code=3)
sonde('cache', 'join', 'x.h5', *shards[:-1], f'intr.acts/{os.path.basename(shards[-1])}', code=3)
os.makedirs(path('deep/er'))
sonde('cache', 'join', 'deep/er/x.h5', *shards, code=3)
shutil.copytree(path('tasks.acts'), path('moved/tasks.acts'))
shutil.copy(path('tasks.h5'), path('moved/tasks.h5'))
sonde('cache', 'verify', 'moved/tasks.h5')

# A flipped byte is named; so are shards that are missing, cut, or of another run.
one = path('moved/tasks.acts/shard_00001.h5')
with h5py.File(one) as f:
    d = f['acts/blocks.2.hook_resid_post']
    at = d.id.get_offset() + 300 * d.shape[1] * 4 + 5
with open(one, 'r+b') as f:
    f.seek(at)
    b = f.read(1)
    f.seek(at)
    f.write(bytes([b[0] ^ 4]))
r = subprocess.run(
    [SONDE, 'cache', 'verify', 'moved/tasks.h5'], cwd=TMP, env=ENV, capture_output=True, text=True)
check(r.returncode == 1 and 'shard_00001.h5: blocks.2.hook_resid_post block 1 ' in r.stdout and '1 fault' in r.stdout, f'a flipped byte: {r.stdout}')


def verify(*words):
    r = subprocess.run([SONDE, 'cache', 'verify', 'moved/tasks.h5'], cwd=TMP, env=ENV, capture_output=True, text=True)
    check(r.returncode == 1 and all(w in r.stdout for w in words), f'{words}: {r.stdout} {r.stderr}')
    sonde('run', 'norms', '-c', 'moved/tasks.h5', '--windows', '0', '-o', 'n.h5', code=3)


os.truncate(one, os.path.getsize(one) - 5000)
verify('shard_00001.h5: is damaged or cut')
os.remove(one)
os.mkfifo(one)
verify('shard_00001.h5: is not a file')
os.remove(one)
verify('shard_00001.h5', 'missing')
shutil.copy(path('intr.acts/shard_00001.h5'), one)
verify('shard_00001.h5', 'another run', 'dtype')
shutil.copy(path('tasks.acts/shard_00000.h5'), one)
verify('shard_00001.h5', 'place')
shutil.copy(path('tasks.acts/shard_00001.h5'), one)
sonde('cache', 'verify', 'moved/tasks.h5')

# Another model.
r = sonde('run', 'norms', '-m', os.path.join(MODELS, 'tokens'), '-c', 'whole.h5', code=3)
check('model_hash' in r.stderr, r.stderr)

# A folder that cannot be written (root may write anywhere).
os.makedirs(path('closed'))
os.chmod(path('closed'), 0o500)
if os.geteuid():
    make('closed/c', code=5)
    check(not os.listdir(path('closed')), 'nothing is left in a closed folder')
sonde('cache', *MAKE, '-o', '/proc/c.h5', code=5)

# Files may not grow beyond a limit: told before anything is written.
limited = subprocess.run(['bash', '-c', 'ulimit -f 600; exec "$@"', 'sh', SONDE, 'cache', *map(str, MAKE), '-o', 'limit.h5'], cwd=TMP, env=ENV,
                         capture_output=True, text=True, stdin=subprocess.DEVNULL)
check(limited.returncode == 4 and 'ulimit' in limited.stderr and not os.path.exists(path('limit.acts')), f'a limit of files: {limited}')

# A small disk of its own, where the system lets us have one: refused beforehand; filled by others in the middle.
SMALL = r'''
mount -t tmpfs -o size=$1 none disk || exit 77
shift
"$@"
'''


def own_mounts():
    """A mount of one's own is for everybody with a user namespace, and for root where there are none (chroot)."""
    for flags in ('-Urm', '-m'):
        if not subprocess.run(['unshare', flags, 'true'], stderr=subprocess.DEVNULL).returncode:
            return flags
    return '-Urm'


def on_disk(size, script):
    os.makedirs(path('disk'), exist_ok=True)
    return subprocess.run(['unshare', own_mounts(), 'bash', '-c', SMALL, 'sh', size, 'bash', '-c', script], cwd=TMP, capture_output=True, text=True,
                          env=dict(ENV, ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'))


args = ' '.join(map(str, MAKE)).replace('resid_post|pattern|ln_final.hook_scale', "'resid_post|pattern|ln_final.hook_scale'")
try:
    r = on_disk('4m', f'"{SONDE}" cache {args} -o disk/c.h5; code=$?; ls -A disk; exit $code')
except FileNotFoundError:
    r = subprocess.CompletedProcess([], 77, '', '')
if r.returncode == 77:
    print('note: no small disk can be had here, a full one is not tried')
else:
    check(r.returncode == 4 and '--max-tokens' in r.stderr and not r.stdout.strip(), f'a small disk: {r}')
    need = sum(len(v) for v in files('whole').values()) * 1.3 + (4 << 20)
    script = f'''
"{SONDE}" cache {args} -o disk/full0.h5 -q 2>err & pid=$!
while [ ! -e disk/full0.acts/shard_00000.h5.part ] && kill -0 $pid; do sleep 0.01; done
kill -STOP $pid
head -c 1000000000 /dev/zero >disk/filler 2>/dev/null
kill -CONT $pid
wait $pid; code=$?
cat err
rm disk/filler
"{SONDE}" cache {args} -o disk/full0.h5 -q --resume || exit 9
cp -r disk/full0.acts disk/full0.h5 .
exit $code'''
    r = on_disk(f'{int(need) >> 10}k', script)
    check(r.returncode in (0, 5), f'a disk that fills up: {r}')
    if check(r.returncode == 5, 'the disk filled up before the end'):
        check('room' in r.stdout or 'space' in r.stdout, f'full disk: {r.stdout}')
    same('full0', 'whole', 'after a full disk')

# Memory does not grow with the corpus.
peaks = []
for n in (1200, 5000):
    write_jsonl(f'm{n}.jsonl', [text(rng, 120) for _ in range(n)])
    # By a small process: a child begins with the peak of the one that it was split from.
    small = subprocess.run([sys.executable, '-c', 'import os, sys\nargs = sys.argv[1:]\npid = os.fork()\nif not pid: os.execv(args[0], args)\n'
                            '_, status, usage = os.wait4(pid, 0)\nprint(status, usage.ru_maxrss)', SONDE, 'cache', '-m', os.path.join(MODELS, 'tokens'), '-f', f'm{n}.jsonl', '--filter',
                            'ln_final.hook_scale', '-o', f'm{n}.h5', '-q', '-t', '2', '--shard-tokens', '5000'], cwd=TMP, env=ENV, capture_output=True, text=True)
    status, peak = map(int, small.stdout.split())
    check(status == 0, f'{n} documents: {status}')
    peaks.append(peak / 1024)
# 1.6 million tokens more would be 45 MB of ids, positions and spans.
check(SANITIZED or peaks[1] < peaks[0] + 14, f'peak memory, MB: {peaks} for 1200 and 5000 documents')
print(f'peak memory {peaks[0]:.0f} and {peaks[1]:.0f} MB')
finish()
