#!/usr/bin/python3
"""Cached values against TransformerLens, and analyses from a cache against forward passes: values.py SONDE MODELS."""
from common import *

GOLDENS = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'goldens.npz'))
MODEL = os.path.join(MODELS, str(GOLDENS['variant']))
N = len([k for k in GOLDENS if k.endswith('/tokens')])
IDS = ';'.join(','.join(map(str, GOLDENS[f'{i}/tokens'])) for i in range(N))
sequences = [GOLDENS[f'{i}/tokens'] for i in range(N)]


def worst_error(file, damage=False):
    """The largest |difference| / max |reference| of any hook, and how many hooks were compared."""
    worst, where, hooks = 0.0, '', 0
    with h5py.File(path(file)) as f:
        at = f['window_offsets'][()]
        for name, d in f['acts'].items():
            want = [GOLDENS[f'{i}/{name}'] for i in range(N) if f'{i}/{name}' in GOLDENS]
            if not want:
                continue
            hooks += 1
            have = d[()]
            if damage and name == 'blocks.1.attn.hook_z':
                have[at[0] + 3, 1, 2] += 1e-3 * np.abs(have).max()
            scale = max(np.abs(w[np.isfinite(w)]).max(initial=1e-30) for w in want)
            for i, w in enumerate(want):
                x = have[at[i]:at[i + 1]]
                T = len(sequences[i])
                if name.endswith(('pattern', 'attn_scores')):
                    check(np.isnan(x[:, :, T:]).all(), f'{name}: NaN behind the window')
                    x = x[:, :, :T].transpose(1, 0, 2)
                x = x.reshape(w.shape)
                check((np.isfinite(x) == np.isfinite(w)).all(), f'{name}: infinite where the reference is')
                e = np.abs(x[np.isfinite(w)].astype('f8') - w[np.isfinite(w)]).max(initial=0) / scale
                if e > worst:
                    worst, where = e, name
    return worst, where, hooks


sonde('cache', '-m', MODEL, '--tokens', IDS, '--filter', 'hook', '-o', 'all.h5')
worst, where, hooks = worst_error('all.h5')
check(hooks >= 30 and worst <= 5e-5, f'F32: {worst:.2g} at {where}, {hooks} hooks')
print(f'largest difference {worst:.2g} of the scale ({where}), {hooks} hooks')
check(worst_error('all.h5', damage=True)[0] > 5e-5, 'a wrong number is seen')
sonde('cache', '-m', MODEL, '--tokens', IDS, '--filter', 'hook', '--dtype', 'f16', '-o', 'half.h5')
with h5py.File(path('all.h5')) as f, h5py.File(path('half.h5')) as g:
    check(list(f['acts']) == list(g['acts']), 'the same hooks')
    for name, d in f['acts'].items():
        a, b = d[()].astype('f2'), g['acts'][name][()]
        check(a.tobytes() == b.tobytes(), f'{name}: the halves are not the rounded values')

# Analyses from a cache are those of forward passes, value for value.
T = ['When Mara and Tobin went to the harbour, Mara gave the lantern to', 'Mara and Tobin', 'a']
prompts = [x for t in T for x in ('-p', t)]


def compare(analyses, filter, *more, dtype='f32', same=True):
    sonde('cache', *prompts, '--filter', filter, '--dtype', dtype, '-o', 'c.h5', '--overwrite')
    sonde('run', analyses, '-c', 'c.h5', '-o', 'from-cache.h5', *more)
    sonde('run', analyses, *prompts, '-o', 'from-pass.h5', *more)
    r = subprocess.run([SONDE, 'diff', 'from-cache.h5', 'from-pass.h5'], cwd=TMP, env=ENV, capture_output=True, text=True)
    check((r.returncode == 0) == same, f'{analyses} with {filter}: {r.stdout[-300:]}')


compare('norms,attention,lens,logits', 'hook_resid|pattern')
compare('norms,attention,lens,logits,dla,activations', 'hook', '--activations.filter', 'hook_pre|hook_q|attn_scores|hook_scale|hook_embed|normalized')
compare('lens', 'hook_resid_post')  # resid_pre is the one before it, or the embeddings
compare('logits', 'ln_final.hook_normalized')
compare('activations', 'hook_resid_mid|resid_pre', '--activations.filter', 'ln[12]|mlp_in')
compare('norms', 'hook_resid', dtype='f16', same=False)
with h5py.File(path('from-cache.h5')) as f:
    g = f['runs/000-norms']
    check(g.attrs['cache_dtype'] == 'f16' and len(g.attrs['cache_run_id']) == 32, 'the run says what it read')

# What is missing is named, with how to have it; another model is refused with the field that differs.
for analyses, filter, words in (('norms', 'resid_post', ('hook_resid_mid', '--filter')), ('logits', 'hook_z', ('ln_final.hook_normalized',)),
                                ('attention', 'resid', ('hook_pattern',))):
    sonde('cache', *prompts, '--filter', filter, '-o', 'c.h5', '--overwrite')
    err = sonde('run', analyses, '-c', 'c.h5', code=3).stderr
    check(all(w in err for w in words), err)
sonde('cache', *prompts, '--filter', 'resid_post', '--dtype', 'f16', '-o', 'c.h5', '--overwrite')
check('f32' in sonde('run', 'logits', '-c', 'c.h5', code=3).stderr, 'logits from halves')
check('model_hash' in sonde('run', 'lens', '-m', MODEL, '-c', 'c.h5', code=3).stderr, 'another model')
for args in (['-p', 'a'], ['--edit', 'L0H0.z=zero'], ['--windows', '9']):
    sonde('run', 'lens', '-c', 'c.h5', *args, code=2)
sonde('run', 'lens', '--windows', '0', '-p', 'a', code=2)
sonde('run', 'lens', '-c', 'c.h5', '--windows', '1-2', '-o', 'some.h5')
with h5py.File(path('some.h5')) as f:
    check([t if isinstance(t, str) else t.decode() for t in f['inputs/text'][()]] == T[1:], 'the texts of the windows')
# Windows that overlap are no whole sequences, but the first of a document is.
sonde('cache', '-p', T[0], '--filter', 'resid', '--window', 8, '--stride', 3, '-o', 'c.h5', '--overwrite')
check('--stride' in sonde('run', 'lens', '-c', 'c.h5', code=3).stderr, 'overlapping windows')
sonde('run', 'lens', '-c', 'c.h5', '--windows', '0', '-o', 'some.h5')
finish()
