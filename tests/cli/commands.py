#!/usr/bin/env python3
"""The command language from outside: commands.py SONDE. Exit codes, one clear line for every error, help on
standard output, and every verb, analysis, flag, key and hook in the manual and in the completions."""
import json, os, re, shutil, signal, subprocess, time

import h5py

from common import SONDE, TMP, check, finish

TEXT = 'When Mara and Tobin went to the harbour, Mara gave the lantern to'


def sonde(*args, **kw):
    kw.setdefault('stdin', subprocess.DEVNULL)
    env = {**os.environ, 'SONDE_CONFIG': '/dev/null', **kw.pop('env', {})}
    r = subprocess.run([SONDE, *args], capture_output=True, timeout=300, cwd=TMP, env=env, **kw)
    r.out, r.err = r.stdout.decode(errors='replace'), r.stderr.decode(errors='replace')
    return r


def good(*args):
    r = sonde(*args)
    check(r.returncode == 0 and r.out.strip() and not r.err.strip(), f'{args}: exit {r.returncode}, stderr {r.err[:200]!r}')
    return r.out


def good_file(*args):
    """The report of a run."""
    r = sonde('run', *args, '-o', 'good.h5')
    check(r.returncode == 0, f'{args}: exit {r.returncode}, stderr {r.err[:200]!r}')
    return f'{TMP}/good.h5'


def bad(code, says, *args, **kw):
    r = sonde(*args, **kw)
    check(r.returncode == code, f'{args}: exit {r.returncode}, not {code}: {r.err[:200]!r}')
    lines = r.err.strip().splitlines()
    check(len(lines) == 1 and lines[0].startswith('sonde: '), f'{args}: one line on stderr, got {r.err[:300]!r}')
    check(says in r.err, f'{args}: {r.err.strip()!r} does not say {says!r}')


verbs = re.findall(r'^  ([a-z]+) {2,}', good('--help').split('Commands')[1].split('Analyses')[0], re.M)
analyses = good('list', 'analyses', '--names').split()
check(len(verbs) >= 12, f'verbs: {verbs}')
check(set(analyses) >= {'logits', 'lens', 'dla', 'attention', 'norms'}, f'analyses: {analyses}')

# Help, manual and completion name everything there is.
man = good('man').replace('\\-', '-').replace('\\e', '\\')
shells = {s: good('completion', s) for s in ('bash', 'zsh', 'fish')}
helps = {v: good(v, '--help') for v in verbs}
helps.update({f'run {a}': good('run', a, '--help') for a in analyses})
check(good('--version').startswith('sonde '), '--version')
for flag in ('--resume', '--session LOG', '--[no-]tour', '--[no-]record', '--log FILE'):
    check(f'\n      {flag} ' in good('--help'), f'--help names the workbench\'s {flag}')
check(good('help', 'run') == helps['run'] and good('run', '-h') == helps['run'], 'help VERB is VERB --help')
check(good('help', 'run', 'lens') == helps['run lens'], 'help run lens')
check(good('help', 'lens') == helps['run lens'], 'help lens')
for v in verbs:
    check(f'sonde {v} ' in man, f'manual: {v}')
    for s, text in shells.items():
        check(re.search(rf'\b{v}\b', text), f'{s} completion: {v}')
for name, text in helps.items():
    for flag in set(re.findall(r'^ {2,}(?:-\w, )?--(?:\[no-\])?([a-z][a-z0-9-]*)', text, re.M)):
        check(f'--{flag}' in man or f'--[no-]{flag}' in man, f'manual: --{flag} of {name}')
        check(re.search(rf'--{flag}[^a-z0-9-]', shells['bash']), f'bash completion: --{flag} of {name}')
        check(f'--{flag}[' in shells['zsh'], f'zsh completion: --{flag} of {name}')
        check(f'-l {flag} ' in shells['fish'], f'fish completion: --{flag} of {name}')
for a in analyses:
    check(f'.SS {a}\n' in man and all(a in t for t in shells.values()), f'manual and completion: {a}')
for line in good('list', 'keys').splitlines():
    key = line.split()[0]
    check(f'.B {key}' in man or f'.B \\&{key}' in man, f'manual: key {key}')
for hook in good('list', 'hooks', '--names').split():
    check(hook in man, f'manual: hook {hook}')
for what in ('views', 'datasets', 'models'):
    good('list', what)
open(f'{TMP}/sonde.bash', 'w').write(shells['bash'])
for s in ('bash', 'zsh', 'fish'):
    open(f'{TMP}/{s}.completion', 'w').write(shells[s])
    if shutil.which(s):
        r = subprocess.run([s, '-n', f'{TMP}/{s}.completion'], capture_output=True, text=True)
        check(r.returncode == 0 and not r.stderr, f'{s} reads its completion: {r.stderr!r}')
if shutil.which('groff'):
    r = subprocess.run(['groff', '-man', '-Kutf8', '-Tutf8', '-ww'], input=sonde('man').stdout, capture_output=True)
    check(r.returncode == 0 and not r.stderr, f'groff reads the manual: {r.stderr[:200]!r}')
probe = 'source sonde.bash; COMP_WORDS=(sonde %s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _sonde; echo "${COMPREPLY[*]}"'
for line, want in (('ru', 'run'), ('run le', 'lens'), ('run lens,dl', 'lens,dla'), ('run lens --to', '--top'), ('run lens --progress js', 'json')):
    r = subprocess.run(['bash', '-c', probe % line], capture_output=True, text=True, cwd=TMP)
    check(want in r.stdout.split() and not r.stderr, f'bash completes {line!r}: {r.stdout!r} {r.stderr!r}')

# Bad usage.
# One prompt alone is ablated too: its mean at a position would be its own value.
bad(2, '--mean-over all', 'run', 'ablate', '-p', TEXT, '--mean-over', 'pos')
check(good('run', 'ablate', '-p', TEXT) == good('run', 'ablate', '-p', TEXT, '--mean-over', 'all'), 'ablate, one prompt')
check('detector 0 previous_token' in good('run', 'heads', '-p', TEXT), 'a plane has the name of its label')

bad(2, 'run', 'rnu')
bad(2, 'workbench needs a terminal')
bad(2, 'lens', 'run', 'lnes', '-p', 'a')
bad(2, 'needs', 'run')
bad(2, '--top', 'run', 'lens', '-p', 'a', '--tpo', '1')
bad(2, '1 to', 'run', 'lens', '-p', 'a', '--top', '0')
bad(2, '--top needs a value', 'run', 'lens', '-p', 'a', '--top')
bad(2, 'named twice', 'run', 'lens,lens', '-p', 'a')
bad(2, '', 'run', 'lens', '-p', 'a', '--edit', 'nonsense')
bad(2, '--tokens', 'run', 'lens', '--tokens', '1,x')
bad(2, 'vocabulary', 'run', 'lens', '--tokens', '99999999')
bad(2, 'context', 'run', 'lens', '--tokens', ','.join(['1'] * 5000))
bad(2, '', 'run', 'dla', '-p', TEXT, '--target', 'several tokens here', '-o', 'x.h5')
check(not os.path.exists(f'{TMP}/x.h5') and not os.path.exists(f'{TMP}/x.h5.part'), 'a refused run leaves no file')
bad(2, '', 'run', 'lens', '--dataset', 'nosuch')
bad(2, 'bash', 'completion', 'tcsh')
bad(2, '--slice', 'show', 'x.h5', '--slcie', '1')

# Flags of a pair are of a pair; the alignment that is suggested is taken.
bad(2, '--corrupt is missing', 'run', 'lens', '--clean', 'Mara gave')
bad(2, '--wrong', 'run', 'lens', '-p', 'a', '--wrong', ' x')
bad(2, '--answer', 'run', 'ablate', '-p', 'a', '--answer', ' x')
for clean, corrupt in (('Mara gave', 'Mara gave the lantern'), ('Mara gave the lantern', 'Mara gave'),
                       ('Mara gave the big lantern to', 'Mara gave the lantern to')):
    pair = ('run', 'patch', '--clean', clean, '--corrupt', corrupt, '--answer', ' to', '--wrong', ' and')
    said = sonde(*pair).err
    check('--align [[' in said, f'{clean!r} and {corrupt!r}: {said!r}')
    good(*pair, '--align', said[said.index('[['):].strip())

# A line gives the same numbers wherever it stands.
open(f'{TMP}/second.txt', 'w').write(f'run logits -p "{TEXT}"\nrun attr,patch,saliency --dataset ioi_tiny:2 --check 3\n')
sonde('batch', 'second.txt', '-o', 'second.h5')
sonde('run', 'attr,patch,saliency', '--dataset', 'ioi_tiny:2', '--check', '3', '-o', 'first.h5')
for block in ('attr/agreement', 'patch/check_error', 'saliency/length_17/source_input'):
    a, b = (good('export', f, f'runs/00{k + f.startswith("second")}-{block}', '--csv')
            for k in [('attr', 'patch', 'saliency').index(block.split('/')[0])] for f in ('first.h5', 'second.h5'))
    check(a == b and len(a) > 3, f'{block} alone and behind another run: {a!r} {b!r}')

# Bad input files, limits, outputs.
bad(3, 'no-such-model', 'run', 'lens', '-m', 'no-such-model', '-p', 'a')
bad(3, 'no-such.h5', 'show', 'no-such.h5')
bad(3, 'no-such.txt', 'run', 'lens', '-f', 'no-such.txt')
open(f'{TMP}/junk.h5', 'wb').write(b'\x89HDF\r\n\x1a\n' + os.urandom(500))
bad(3, 'junk.h5', 'show', 'junk.h5')
open(f'{TMP}/bad.jsonl', 'w').write('{"text": "a"}\n{"nothing": 1}\n')
bad(3, 'bad.jsonl:2', 'run', 'lens', '-f', 'bad.jsonl')
bad(4, '--max-mem', 'run', 'logits', '-p', TEXT, '--max-mem', '1M')
bad(5, '/no/such/folder', 'run', 'lens', '-p', TEXT, '-o', '/no/such/folder/x.h5')
bad(2, 'is in every layer', 'run', 'lens', '-p', TEXT, '--edit', 'resid_post=zero')

# A drawing names what it shows.
check('after ·to: ·Tobin ' in good('run', 'logits', '-p', TEXT), 'logits name the best next tokens')
check('layer 0, head 0' in good('run', 'attention', '-p', TEXT), 'attention names its layer and head')
drawn = good('run', 'lens,dla', '-p', TEXT, '--target', 'next', '--dla.pos', '4', '--dla.target', ' Tobin')
check('attribution of ·Tobin at position 4' in drawn, 'the attribution names its token')
check(re.search(r'^error +\S?\de-\d+', drawn, re.M), 'the error of the ledger is not rounded away')
# Columns whose names differ at their ends are told apart.
check(re.search(r'^ +a3\.h3<q> +a3\.h3<k> +a3\.h3<v>\s*$', good('run', 'path', '--dataset', 'ioi_tiny:2', '--senders', 'a1.h3',
      '--receivers', 'a3.h3'), re.M), 'receivers stand above their columns whole')
# Under edits that no writer has the parts add up all the same; others change nothing of the components.
for edit, weights, n in (('L2.resid_mid=scale:0.5', 'raw', 29), ('L3.resid_pre@4=zero', 'folded', 29),
                         ('L4.resid_post=scale:2', 'folded', 29), ('L3_attn=zero', 'folded', 29),
                         ('L3H1.result=zero', 'raw', 29), ('L3_mlp=zero', 'raw', 28), ('L3H1=zero', 'folded', 28)):
    with h5py.File(good_file('dla', '-p', TEXT, '--edit', edit, '--weights', weights, '--effect')) as f:
        run = f['runs/000-dla']
        d, ledger = run['input_0/contribution'], run['input_0/ledger']
        check(len(d) == n and (d.dims[0][0].asstr()[-1] == 'edits') == (n == 29), f'{edit}: its components')
        check(abs(ledger[3]) < 1e-4 and abs(d[()].sum() - ledger[0]) < 1e-4, f'{edit}: error {ledger[3]}')
        check(n == 28 or (d[-1] != 0 and run['input_0/direct_effect'][-1] != 0), f'{edit}: nothing of it is seen')
with h5py.File(good_file('dla', '-p', TEXT, '--edit', 'L3_mlp=zero', '--neurons', '3')) as f:
    check(abs(f['runs/000-dla/input_0/ledger'][3]) < 1e-4, 'neurons of an MLP that was replaced')
check(not re.search(r'target_rank.*?−1', drawn.split('entropy [')[0], re.S),
      'no rank is drawn where there is none')
with h5py.File(good_file('lens', '-p', TEXT, '--target', 'next')) as f:
    r = f['runs/000-lens/input_0/target_rank']
    check(r.attrs['missing_value'] == -1 and (r[:, -1] == -1).all(), 'a rank that is not there is -1, and the block says so')
check('6 NaN' in good('show', 'good.h5', 'runs/000-lens/input_0/target_rank'), 'nor from a file')
bad(5, 'folder', 'run', 'lens', '-p', TEXT, '-o', TMP)
if os.path.exists('/dev/full'):
    with open('/dev/full', 'w') as full:
        r = subprocess.run([SONDE, 'list', 'hooks'], stdout=full, stderr=subprocess.PIPE)
        check(r.returncode == 5, f'/dev/full: exit {r.returncode}')

# The same answer by every way of giving the input.
report = lambda out, *args: (sonde('run', 'lens', '-o', out, *args), out)[1]
same = lambda a, b: sonde('diff', a, b).returncode
a = report('a.h5', '-p', TEXT, '-p', 'Mara')
open(f'{TMP}/in.jsonl', 'w').write(json.dumps({'text': TEXT}) + '\n' + json.dumps({'text': 'Mara'}) + '\n')
open(f'{TMP}/in.txt', 'w').write(TEXT + '\nMara\n')
check(same(a, report('b.h5', '-f', 'in.jsonl')) == 0, 'a .jsonl file gives the inputs of -p')
check(same(a, report('b.h5', '-f', 'in.txt', '--lines')) == 0, '--lines gives the inputs of -p')
check(same(a, report('b.h5', '-f', 'in.txt')) == 1, 'a .txt file is one input')
lines = [json.loads(l)['ids'] for l in good('tokens', '--prepend-bos', '-p', TEXT, '-p', 'Mara').splitlines()]
ids = ';'.join(','.join(map(str, l)) for l in lines)
open(f'{TMP}/one.txt', 'w').write('run lens -o c.h5 --tokens "%s"\n' % ids)
check(sonde('batch', 'one.txt').returncode == 0 and os.path.exists(f'{TMP}/c.h5'), 'batch runs its lines')
r = sonde('diff', '--atol', '0', 'a.h5', 'c.h5')
check(sonde('run', 'lens', '-p', TEXT).out.count('entropy') >= 1, 'without -o the blocks are drawn')
check('default' in sonde('run', 'norms').err or TEXT in sonde('run', 'norms').err, 'no input: the default prompt, and a note')
check(sonde('run', 'norms', '--quiet').err == '', '--quiet: no note')
check(sonde('-q', 'run', 'norms', '-p', 'a').returncode == 0, 'flags may stand before the verb')

# One batch is one report; a log replays.
open(f'{TMP}/batch', 'w').write(f'# two runs\n\nrun lens -p "{TEXT}" --top 3\nsonde run dla -p \'{TEXT}\' --target \' Tobin\' # the answer\n')
check(sonde('batch', 'batch', '-o', 'two.h5').returncode == 0, 'batch -o')
shown = sonde('show', 'two.h5').out
check('000-lens' in shown and '001-dla' in shown, 'one batch is one report')
head = '# sonde 1, a session; sonde batch replays it\n'
open(f'{TMP}/torn', 'w').write(head + "list hooks\nrun lens -p 'op")
torn = sonde('batch', 'torn')
check(torn.returncode == 0 and 'left out' in torn.err, f'the torn last line of a log is left out: {torn.err!r}')
open(f'{TMP}/torn', 'w').write("list hooks\nlist views")
check('heatmap' in good('batch', 'torn'), 'a batch may end without a newline')
open(f'{TMP}/outer', 'w').write(f'batch batch\nrun norms -p "{TEXT}"\n')
check(sonde('batch', 'outer', '-o', 'both.h5').returncode == 0, 'a batch in a batch')
shown = sonde('show', 'both.h5').out
check(all(x in shown for x in ('000-lens', '001-dla', '002-norms')), 'fills the report of the outer one')
open(f'{TMP}/self', 'w').write('batch self\n')
bad(2, 'deep in each other', 'batch', 'self')
open(f'{TMP}/broken', 'w').write('list hooks\nrun lens --top 0\n')
bad(2, 'broken:2', 'batch', 'broken')
open(f'{TMP}/broken', 'w').write('run lens -p "open\n')
bad(2, 'broken:1', 'batch', 'broken')

# Settings: other defaults, which flags override; a mistake names its line.
open(f'{TMP}/config', 'w').write('# mine\nlens.top 2\nquiet true\n')
mine = {'env': {'SONDE_CONFIG': f'{TMP}/config'}}
r = sonde('run', 'lens', **mine)
check('k 2]' in r.out and not r.err, f'settings are defaults: {r.err!r}')
check('k 3]' in sonde('run', 'lens', '--top', '3', **mine).out, 'a flag wins over a setting')
printed = sonde('config', **mine).out
check('\nlens.top 2\n' in printed and '\n#threads 0\n' in printed, 'config prints what is set and what could be')
open(f'{TMP}/config', 'w').write(printed)
check(sonde('config', **mine).out == printed, 'what config prints is a configuration')
for text, says in (('nosuch 1', 'config:1'), ('threads', 'config:1'), ('\nlens.top 0', 'config:2')):
    open(f'{TMP}/config', 'w').write(text)
    r = sonde('run', 'lens', **mine)
    check(r.returncode in (2, 3) and says in r.err, f'settings {text!r}: {r.returncode} {r.err!r}')
for text, says in (('nosuch 1\nlens.top 2', 'config:1'), ('max-mem banana', 'config:1: max-mem: '), ('max-mem 200%', 'up to 100%')):
    open(f'{TMP}/config', 'w').write(text)
    for args in (['--help'], ['config'], ['run', '--help']):
        r = sonde(*args, **mine)
        check(r.returncode == 0 and says in r.err and len(r.out) > 200, f'{args} with {text!r}: {r.returncode} {r.err!r}')
    r = sonde('tokens', '-p', 'a', **mine)
    check(r.returncode == 3 and says in r.err and '--max-mem' not in r.err, f'tokens with {text!r}: {r.returncode} {r.err!r}')
# Whatever verb they are of, names and values are checked before anything runs: line, sentence, nearest names.
for text, says in (('generate.max-new 3', ['config:1: no setting generate.max-new; nearest: generate.max-new-tokens, ']),
                   ('\ntrian.lr 3', ['config:2: no setting trian.lr; nearest: train.lr, ']), ('max-nw-tokens 3', ['max-new-tokens']),
                   ('temperature warm', ['config:1: temperature: "warm" does not fit']), ('lr x', ['config:1: lr: ']),
                   ('stop-at-eos maybe', ['config:1: stop-at-eos: "maybe"', 'give one of these']),
                   ('metric nosuch', ['config:1: metric: ', 'logit_diff']), ('top 0', ['config:1: top: ', 'say whose it is, as in ', '.top']),
                   ('show.top -1', ['config:1: show.top: ']), ('cache.dtype f64', ['config:1: cache.dtype: ', 'f16']),
                   ('tour perhaps', ['config:1: tour: '])):
    open(f'{TMP}/config', 'w').write(text)
    r = sonde('list', 'views', **mine)
    check(r.returncode == 3 and all(s in r.err for s in says), f'settings {text!r}: {r.returncode} {r.err!r}')
# One name for several commands holds for all that have it; a value for one of them is said to be its own.
for text in ('steps 7', 'top 3', 'patch.metric kl', 'metric prob', 'threads 1\nlens.top 1'):
    open(f'{TMP}/config', 'w').write(text)
    check(sonde('list', 'views', **mine).returncode == 0, f'settings {text!r}')
bad(2, 'up to 100%', 'run', 'norms', '-p', 'a', '--max-mem', '200%')
bad(2, 'a number or the path', 'run', 'norms', '-p', 'a b', '--edit', 'L1_mlp=set:nan')
bad(2, 'the range is empty', 'run', 'norms', '-p', 'a b', '--edit', 'L1H1@5:2=zero')
open(f'{TMP}/mark.jsonl', 'wb').write(b'\xef\xbb\xbf{"text": "Mara went"}\n')
check(sonde('cache', '-f', 'mark.jsonl', '--filter', 'hook_embed', '-o', 'mark.h5').returncode == 0, 'a byte order mark')

# Export and show.
p = 'runs/000-lens/input_0/entropy'
for form, head in (('csv', ''), ('json', '{'), ('npy', '\x93NUMPY'), ('svg', '<svg')):
    r = sonde('export', 'two.h5', p, f'--{form}')
    check(r.returncode == 0 and len(r.stdout) > 20, f'export --{form}: {r.returncode} {r.err!r}')
bad(2, 'nothing', 'export', 'two.h5', 'runs/nothing', '--csv')
check('entropy' in sonde('show', 'two.h5', p).out and 'top_token' not in sonde('show', 'two.h5', p).out, 'show PATH draws that block')
check('·' in good('show', 'two.h5', 'runs/000-lens/input_0/top_token', '-m', 'tiny'), 'show -m draws ids as words')
good('show', 'two.h5', 'runs/000-lens/input_0/top_token', '--slice', 'k=0')
bad(2, 'layer', 'show', 'two.h5', p, '--slice', 'layer=99')
check(all(ord(c) < 128 for c in good('show', 'a.h5', '--ascii').replace(TEXT, '')), '--ascii draws ASCII alone')
check('\x1b[' in sonde('show', 'a.h5', '--color', 'always').out and '\x1b[' not in sonde('show', 'a.h5').out, 'colours only where asked for or on a terminal')

# Pairs from a spreadsheet: a byte order mark, names in quotes, a field over two lines, CR LF.
with open(f'{TMP}/pairs.csv', 'w', newline='', encoding='utf-8-sig') as f:
    f.write('"clean",corrupt,answer,wrong_answer\r\n"Mara, went\nto ""the""","Tobin, went\nto ""the""", harbour, mill\r\n'
            'Mara went to,Tobin went to, Mara, Tobin\r\n')
with open(f'{TMP}/open.csv', 'w') as f:
    f.write('clean,corrupt\nMara,Tobin\n"Mara went,Tobin went\nto,to\n')
with open(f'{TMP}/pairs.jsonl', 'w') as f:
    f.write('\ufeff{"clean": [3, 5, 7], "corrupt": [3, 9, 7], "answer": 4, "wrong_answer": 6}\n')
with h5py.File(good_file('patch', '-f', 'pairs.csv', '--site', 'head_z')) as f:
    check(list(f['inputs/text'].asstr()) == ['Mara, went\nto "the"', 'Tobin, went\nto "the"', 'Mara went to', 'Tobin went to'],
          'pairs of a CSV file')
    check(f['runs/000-patch'].attrs['prepend_bos'] == 1, 'a BOS before texts')
with h5py.File(good_file('saliency', '-f', 'pairs.csv')) as f:
    check('runs/000-saliency/length_4' in f, 'a CSV file of pairs where pairs are welcome')
bad(3, 'open.csv:3: a quote is opened', 'run', 'patch', '-f', 'open.csv')
with h5py.File(good_file('patch', '-f', 'pairs.jsonl', '--site', 'head_z')) as f:
    check(f['runs/000-patch'].attrs['prepend_bos'] == 0, 'none before ids')
r = sonde('run', 'heads', '-f', 'pairs.jsonl')
check(r.returncode == 0 and 'clean one of 1 pair' in r.err and 'input 0, 3 tokens' in r.out, f'heads of pairs: {r.err!r}')
heads = [f'head_{x}{y}' for x in ('z', 'q', 'k', 'v', 'pattern') for y in ('', '_by_pos')]
sites = ['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out', *heads, 'head_pattern_dest_src_pos', 'neuron',
         'neuron_by_pos']
check(sonde('run', 'patch', '-f', 'pairs.jsonl', '--site', ','.join(sites)).returncode == 0, 'every site at once')

# Edits are part of both runs of a pair, or refused before anything is computed.
for name, says in (('ablate', 'unedited model'), ('trace', 'unedited model'), ('path', 'does not run with edits')):
    bad(2, says, 'run', name, '--dataset', 'ioi_tiny:1', '--edit', 'L1H1.z=zero')

# An interruption ends with 130 and leaves nothing under the real name; so does a lost connection.
big = ['run', 'logits,attention', '--dataset', 'world:20000', '--truncate', '-o', 'big.h5', '-t', '1']
for sig in (signal.SIGINT, signal.SIGHUP):
    proc = subprocess.Popen([SONDE, *big], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=TMP)
    for _ in range(300):
        if os.path.exists(f'{TMP}/big.h5.part') or proc.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    proc.send_signal(sig)
    err = proc.communicate(timeout=60)[1].decode()
    check(proc.returncode == 130, f'{sig.name}: exit {proc.returncode}: {err!r}')
    check(not os.path.exists(f'{TMP}/big.h5'), f'{sig.name}: no half report under the real name')
    if os.path.exists(f'{TMP}/big.h5.part'):
        os.remove(f'{TMP}/big.h5.part')

# A full disk behind standard output is an error of every command, also of those that flush as they go.
for args in (['run', 'lens', '-p', 'a'], ['run', 'lens', '-p', 'a', '-q'], ['show', 'two.h5'], ['list', 'views']):
    with open('/dev/full', 'wb') as full:
        r = subprocess.run([SONDE, *args], stdout=full, stderr=subprocess.PIPE, cwd=TMP)
    check(r.returncode == 5 and b'standard output' in r.stderr, f'{args} > /dev/full: {r.returncode} {r.stderr!r}')

finish()
