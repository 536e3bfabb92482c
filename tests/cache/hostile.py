#!/usr/bin/python3
"""Caches that lie: hostile.py SONDE MODELS. Every one is refused in a line, or named by verify; none is believed."""
import shutil

from common import *

# libhdf5 itself loses memory on some damaged files; leaks of our own are looked for by the other tests.
ENV['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
T = 'When Mara and Tobin went to the harbour, Mara gave the lantern to'
sonde('cache', '-p', T, '-p', 'Mara', '--filter', 'hook_resid|pattern', '--window', 12, '--shard-tokens', 12, '-o', 'good.h5')
HOOK = 'acts/blocks.1.hook_resid_post'


def lie(what, change, shard=None, words=(), refused=True):
    """Copies the cache, lets change(h5py file) damage the joined file or a shard, and looks at it."""
    for k in ('bad.h5', 'bad.acts'):
        subprocess.run(['rm', '-rf', path(k)])
    shutil.copytree(path('good.acts'), path('bad.acts'))
    shutil.copy(path('good.h5'), path('bad.h5'))
    with h5py.File(path('bad.h5'), 'r+') as f:
        f.attrs['folder'] = 'bad.acts'
    name = 'bad.h5' if shard is None else f'bad.acts/shard_{shard:05d}.h5'
    if isinstance(change, bytes):
        open(path(name), 'wb').write(change)
    else:
        with h5py.File(path(name), 'r+') as f:
            change(f)
    for args in (['run', 'norms', '-c', 'bad.h5', '-o', 'n.h5'], ['cache', 'verify', 'bad.h5']):
        r = subprocess.run([SONDE, *args], cwd=TMP, env=ENV, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        if not refused:
            check(r.returncode == 0, f'{what}: {args[0]}: {r.returncode} {r.stderr}')
            continue
        told = r.stderr if r.returncode == 3 else r.stdout if r.returncode == 1 and args[0] == 'cache' else ''
        check(told.strip() and len(r.stderr.splitlines()) <= 2, f'{what}: {args[:2]}: exit {r.returncode}: {r.stderr[-200:]!r} {r.stdout[-200:]!r}')
        check(all(w in told for w in words), f'{what}: {words} in {told!r}')


def attr(name, value):
    def change(f):
        if value is None:
            del f.attrs[name]
        else:
            f.attrs[name] = value
    return change


def again(name, make):
    """Replaces a dataset."""
    def change(f):
        keep = dict(f[name].attrs) if name in f else {}
        del f[name]
        make(f, name)
        for k, v in keep.items():
            if k not in ('DIMENSION_LIST', 'REFERENCE_LIST'):
                f[name].attrs[k] = v
    return change


def values(name, edit):
    def change(f):
        v = f[name][()]
        edit(v)
        f[name][...] = v
    return change


def external(f, name):
    f.create_dataset(name, (12, 128), 'f4', external=[('/etc/passwd', 0, 12 * 128 * 4)])


def virtual(f, name):
    layout = h5py.VirtualLayout((12, 128), 'f4')
    layout[:] = h5py.VirtualSource('/etc/passwd', 'x', (12, 128))
    f.create_virtual_dataset(name, layout)


def first(field, value):
    def edit(v):
        v[field][0] = value
    return edit


lie('nothing', lambda f: None, refused=False)
lie('unknown things', lambda f: (f.create_group('later'), f.attrs.__setitem__('odd', np.zeros((2, 2)))), refused=False)
for data in (b'', b'x', b'\x89HDF\r\n\x1a\n' + bytes(3000)):
    lie('no HDF5', data)
    lie('no HDF5 shard', data, shard=1, words=('shard_00001',))
for shard in (None, 1):
    lie('schema', attr('schema', 'sonde-report'), shard)
    lie('version', attr('schema_version', 2), shard, words=('version 2',))
    lie('no version', attr('schema_version', 'one'), shard)
    for name in ('run_id', 'dtype', 'context', 'token_end', 'model_hash', 'block_tokens', 'shard_count'):
        lie(f'no {name}', attr(name, None), shard, words=(name,))
        lie(f'{name} is a list', attr(name, np.arange(5)), shard, words=(name,))
    lie('run_id too long', attr('run_id', 'f' * 5000), shard)
    lie('another run', attr('run_id', 'f' * 32), shard)
    for name, value in (('context', -1), ('context', 2 ** 62), ('token_end', 2 ** 62), ('token_end', 0), ('shard_count', 2 ** 62), ('shard_count', 0),
                        ('block_tokens', 7), ('dtype', 'f64'), ('stride', -5)):
        lie(f'{name} {value}', attr(name, value), shard)
    lie('tokens too short', again('tokens', lambda f, n: f.create_dataset(n, data=np.zeros(3, 'i4'))), shard, words=('tokens',))
    lie('tokens as text', again('tokens', lambda f, n: f.create_dataset(n, data=['a'] * 12)), shard)
    lie('tokens elsewhere', again('tokens', lambda f, n: f.create_dataset(n, (f['position'].shape[0],), 'i4', external=[('/etc/passwd', 0, 4 * f['position'].shape[0])])), shard)
    lie('no position', lambda f: f.__delitem__('position'), shard, words=('position',))
    lie('offsets of another length', again('offsets', lambda f, n: f.create_dataset(n, data=np.arange(50))), shard)
    lie('a foreign hook', lambda f: f['acts'].create_dataset('blocks.0.nonsense', data=np.zeros((12, 3), 'f4')), shard, words=('nonsense',))
    lie('a group as a hook', lambda f: f['acts'].create_group('blocks.0.hook_z'), shard)
    lie('no hooks', lambda f: [f['acts'].__delitem__(k) for k in list(f['acts'])], shard)
    lie('no group', lambda f: f.__delitem__('acts'), shard)
    lie('another width', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 64), 'f4')), shard)
    lie('an enormous width', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 2 ** 55), 'f4', chunks=(1, 64))), shard)
    lie('another type', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 128), 'f2')), shard, words=('F32',))
    lie('another rank', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 4, 32), 'f4')), shard)
lie('chunks', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 128), 'f4', chunks=(4, 128))), 1, words=('one piece',))
lie('deflate', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 128), 'f4', compression=1)), 1)
lie('values elsewhere', again(HOOK, lambda f, n: f.create_dataset(n, (f['tokens'].shape[0], 128), 'f4', external=[('/etc/passwd', 0, f['tokens'].shape[0] * 512)])), 1)
lie('no block_crc', lambda f: f.__delitem__('block_crc'), 1)
lie('block_crc of another shape', again('block_crc', lambda f, n: f.create_dataset(n, data=np.ones((9, 9), 'u4'))), 1, words=('block_crc',))
lie('a block not written', values('block_crc', lambda v: v.fill(0)), 1)
lie('other checksums', values('block_crc', lambda v: v.fill(7)), 1)
for name in ('../good.acts/shard_00000.h5', '/etc/passwd', '..', '.', ''):
    lie(f'shard "{name}"', values('shards', first('file', name.encode())))
lie('folder', attr('folder', '../good.acts'))
lie('folder ..', attr('folder', '..'))
for field, value in (('token_begin', 5), ('token_end', 2 ** 60), ('token_end', -1), ('run_id', b'x'), ('crc', 1)):
    lie(f'table {field} {value}', values('shards', first(field, value)))
lie('no table', lambda f: f.__delitem__('shards'))
lie('a table of another shape', again('shards', lambda f, n: f.create_dataset(n, data=np.zeros(3))))
lie('a missing shard', values('shards', first('file', b'nowhere.h5')), words=('missing',))
lie('a shard twice', values('shards', first('file', b'shard_00001.h5')))


def order(v):
    v[1] = v[-1] + 9


def alone(what, change):
    """Only a reader of windows can see it."""
    shutil.rmtree(path('bad.acts'), ignore_errors=True)
    shutil.copytree(path('good.acts'), path('bad.acts'))
    shutil.copy(path('good.h5'), path('bad.h5'))
    with h5py.File(path('bad.h5'), 'r+') as f:
        f.attrs['folder'] = 'bad.acts'
        change(f)
    sonde('run', 'norms', '-c', 'bad.h5', '-o', 'n.h5', code=3)


alone('windows out of order', values('window_offsets', order))
alone('a token outside the vocabulary', values('tokens', lambda v: v.fill(2 ** 30)))
alone('a negative token', values('tokens', lambda v: v.fill(-1)))
# Spans that lie cannot take more than the text there is.
shutil.copy(path('good.h5'), path('bad.h5'))
with h5py.File(path('bad.h5'), 'r+') as f:
    f.attrs['folder'] = 'good.acts'
    f['text_end'][...] = 2 ** 62
sonde('run', 'norms', '-c', 'bad.h5', '-o', 'n.h5')
finish()
