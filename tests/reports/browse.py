"""Other people's files in the browser: what it lists, what its pane reads, and how long it takes.

    browse.py BROWSER      (python3 with numpy and h5py)
"""
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

BROWSER = os.path.abspath(sys.argv.pop(1))
HUGE = 655360


def run(*args):
    r = subprocess.run([BROWSER, *args], capture_output=True, text=True, timeout=200)
    assert r.returncode == 0 and not r.stderr, r
    return r.stdout


def listed(path):
    lines = [line.split('\t') for line in run(path).splitlines()]
    return {line[0]: line[1:] for line in lines}


class Zoo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='sonde-')
        cls.path = os.path.join(cls.folder.name, 'zoo.h5')
        rng = np.random.default_rng(0)
        with h5py.File(cls.path, 'w') as f:
            cls.f16 = f.create_dataset('f16', data=rng.standard_normal((40, 30)).astype('f2'))[0, 0]
            d = f.create_dataset('grp/four', data=rng.standard_normal((3, 4, 5, 6)).astype('f4'))
            cls.four = d[0, 0, 0, 0]
            d.attrs['unit'] = 'logits'
            for i, n in enumerate(('layer', 'head', 'pos', 'dim')):
                d.dims[i].label = n
            f['labels'] = np.array(['tok%d' % i for i in range(5)], dtype=h5py.string_dtype())
            f['labels'].make_scale('pos')
            d.dims[2].attach_scale(f['labels'])
            f['big_endian'] = np.arange(6, dtype='>i4') + 7
            f['scalar'] = 3.25
            f['text'] = 'hello world'
            f['zero'] = np.zeros((0, 5))
            f['exact'] = np.array([2**63 - 1, 5], dtype='u8')
            f['bool'] = np.array([True, False])
            f['rank7'] = np.arange(2**7).reshape((2,) * 7) + 1
            f['rank32'] = np.full((1,) * 32, 4.5)
            t = np.zeros(300, dtype=[('name', 'S10'), ('x', 'f8'), ('nested', [('a', 'f4'), ('b', 'f4')])])
            t['name'] = [b'row%d' % i for i in range(300)]
            f['table'] = t
            cls.scores = np.zeros(3000, dtype=[('name', 'S10'), ('x', 'f8')])
            cls.scores['name'] = [b'row%d' % (i * 7 % 3000) for i in range(3000)]
            cls.scores['x'] = rng.standard_normal(3000).round(2)
            cls.scores['x'][1::97] = np.nan
            f['scores'] = cls.scores
            f['strings'] = np.array(['line %d' % i for i in range(100)], dtype=h5py.string_dtype())
            f['strings2d'] = np.array([['a', 'b']], dtype=h5py.string_dtype())
            f['complex'] = np.zeros((3, 4), dtype='c16')
            f['null'] = h5py.Empty('f4')
            f.create_dataset('lists', (3,), dtype=h5py.vlen_dtype('i4'))
            f.create_dataset('refs', (2,), dtype=h5py.ref_dtype)
            f.create_dataset('zip', data=np.full((200, 200), 2.5), compression='gzip', shuffle=True)
            f['soft'] = h5py.SoftLink('/nowhere')
            f['outside'] = h5py.ExternalLink('other.h5', '/x')
            g = f.create_group('cycle')
            g['self'] = g
            g['root'] = f['/']
            f.create_dataset('big62', shape=(2**62,), dtype='u1', chunks=(1024,))
            f.create_dataset('sparse', shape=(2**40, 2**14), dtype='f4', chunks=(64, 64))
            f.create_dataset('raw', shape=(10,), dtype='f4', external=[('/etc/passwd', 0, 40)])
            for name, source in (('joined', 'part%d.h5'), ('elsewhere', '/etc/part%d.h5')):
                layout = h5py.VirtualLayout((3, 10), dtype='f4')
                for i in range(3):
                    layout[i] = h5py.VirtualSource(source % i, 'd', shape=(10,))
                f.create_virtual_dataset(name, layout, fillvalue=np.nan)
            f.create_dataset('deep/' * 70 + 'end', data=1.0)
        for i in range(2):  # the third is missing
            with h5py.File(os.path.join(cls.folder.name, 'part%d.h5' % i), 'w') as f:
                f['d'] = np.arange(10, dtype='f4') + i + 1
        cls.rows = listed(cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def reads(self, name, kind, shape, *words):
        row = self.rows[name]
        self.assertEqual(row[:2], [kind, shape], name)
        for w in words:
            self.assertIn(w, row[2], name)

    def test_values(self):
        self.reads('f16', 'numbers', '40x30', 'dim_0 0, dim_1 0: ' + repr(float('%.3g' % self.f16))[:4])
        self.reads('grp/four', 'numbers', '3x4x5x6', 'pos 0 tok0, dim 0: ', 'logits')
        value = float(re.search(r': (\S+)', self.rows['grp/four'][2]).group(1))
        self.assertEqual(np.float32(value), self.four)
        self.reads('big_endian', 'numbers', '6', ': 7')
        self.reads('scalar', 'numbers', '', '3.25')
        self.reads('exact', 'numbers', '2', ': 9223372036854775807')
        self.reads('bool', 'numbers', '2', ': 1')
        self.reads('rank7', 'numbers', '2x2x2x2x2x2x2', ': 1')
        self.reads('rank32', 'numbers', 'x'.join('1' * 32), ': 4.5')
        self.reads('zip', 'numbers', '200x200', ': 2.5')
        self.reads('sparse', 'numbers', '%dx%d' % (2**40, 2**14), ': 0')
        self.reads('joined', 'numbers', '3x10', '1 of its parts', ': 1')

    def test_texts_and_tables(self):
        self.reads('text', 'texts', '1', ': hello world')
        self.reads('strings', 'texts', '100', ': line 0')
        self.reads('table', 'table', '300', 'name: row0')

    def keys(self, name, *keys):
        return run('--keys', self.path, name, *keys).splitlines()

    def test_tables_in_an_order(self):
        """Whole tables, read some hundred records at a time: by numbers, by texts, and what is in them."""
        x, names = self.scores['x'], [n.decode() for n in self.scores['name']]
        first = self.keys('scores', 'l', 's', 'j', 's', 's', 's')
        falling = sorted(range(len(x)), key=lambda i: (np.isnan(x[i]), -x[i], i))
        rising = sorted(range(len(x)), key=lambda i: (np.isnan(x[i]), x[i], i))
        for line, row in zip(first[1:], (falling[0], falling[1], rising[0], 0, falling[0])):
            self.assertIn('%d, x: ' % row, line)
            self.assertEqual(float(line.split(': ')[1]), x[row])
        by_name = sorted(range(len(names)), key=lambda i: (names[i], i))
        lines = self.keys('scores', 's', 'j', 'G')
        for line, row in zip(lines, (by_name[0], by_name[1], by_name[-1])):
            self.assertIn('%d, name: %s' % (row, names[row]), line)
        lines = self.keys('scores', '/', "'^row1999$", 'Enter', '/', "'column: row42$", 'Enter', 'N', 'l', '/',
                          "'column: > 2.5", 'Enter', 'n', 'N', 'N')
        at = names.index('row42')
        self.assertIn('%d, name: row1999' % names.index('row1999'), lines[2])
        self.assertIn('%d, name: row42' % at, lines[5])
        self.assertIn('%d, name: row42' % at, lines[6])  # the only one, around the end
        hits = [i for i in range(len(x)) if x[i] > 2.5]
        after = [i for i in hits if i > at] + hits
        before = [i for i in hits if i < after[0]][-1] if after[0] > hits[0] else hits[-1]
        for line, row in zip(lines[10:], (after[0], after[1], after[0], before)):
            self.assertIn('%d, x: ' % row, line)

    def written(self, name, ending, *keys):
        path = os.path.join(self.folder.name, 'window' + ending)
        self.keys(name, *keys, ':', "'write " + path, 'Enter')
        with open(path, encoding='utf8', newline='') as f:
            text = f.read()
        os.unlink(path)
        return text

    def test_what_is_on_screen_goes_to_files(self):
        """All columns of a table, rows from where it is scrolled to; what a cell of many values stands for."""
        rows = list(csv.reader(io.StringIO(self.written('scores', '.csv', *['PgDn'] * 4))))
        self.assertEqual(rows[0], ['dim_0', 'name', 'x'])
        first = int(rows[1][0])
        self.assertGreater(first, 0)
        self.assertGreater(len(rows), 20)
        for k, (at, name, x) in enumerate(rows[1:]):
            self.assertEqual(int(at), first + k)
            self.assertEqual(name, self.scores['name'][first + k].decode())
            self.assertEqual(float(x) if x != 'nan' else None,
                             None if np.isnan(self.scores['x'][first + k]) else self.scores['x'][first + k])
        table = json.loads(self.written('scores', '.json', 'l', 's'))
        self.assertEqual(table['path'], 'scores')
        self.assertEqual(table['rows'][0]['x'], np.nanmax(self.scores['x']))
        self.assertEqual(set(table['rows'][0]), {'name', 'x'})
        self.assertEqual(table['axes'][0]['index'][0], int(np.nanargmax(self.scores['x'])))
        self.assertEqual(table['order'], {'rows': 'falling by x'})
        zoomed = self.written('zip', '.csv', '<', '<')
        self.assertTrue(zoomed.startswith('dim_0 (max of 4 dim_0 x 4 dim_1),0,4,8,'), zoomed[:60])
        zoomed = json.loads(self.written('zip', '.json', '<'))
        self.assertEqual(zoomed['cell'], 'max of 2 dim_0 x 2 dim_1')
        self.assertNotIn('cell', json.loads(self.written('zip', '.json')))

    def test_what_cannot_be_shown_says_why(self):
        for name, words in (('strings2d', 'texts in several'), ('null', 'empty'), ('lists', 'lists'),
                            ('refs', 'references'), ('soft', 'link'), ('outside', 'link'),
                            ('raw', 'other files'), ('elsewhere', 'other folders'), ('big62', 'size'),
                            ('complex', 'records')):
            self.assertEqual(self.rows[name][0], 'strange', name)
            self.assertIn(words, self.rows[name][2], name)
        self.assertIn('above already', self.rows['cycle/self'][2])
        self.assertIn('above already', self.rows['cycle/root'][2])
        self.assertIn('deeper', self.rows['/'.join(['deep'] * 64)][2])
        self.reads('zero', 'numbers', '0x5')

    def test_files_that_are_none(self):
        bad = os.path.join(self.folder.name, 'bad.h5')
        with open(self.path, 'rb') as f:
            whole = f.read()
        for data in (b'', b'x', whole[:100], whole[:5000], whole[:-20000]):
            with open(bad, 'wb') as f:
                f.write(data)
            out = run(bad)
            self.assertTrue(out)
            if len(out.splitlines()) == 1:
                self.assertTrue(out.startswith('error\t'), out)
        self.assertIn('no such', run('/no such.h5').lower())

    def test_a_file_larger_than_memory(self):
        """Twelve hooks of 4 GB, contiguous as caches are; on disk they take nothing."""
        path = os.path.join(self.folder.name, 'huge.h5')
        with h5py.File(path, 'w', libver=('v110', 'v110')) as f:
            for layer in range(12):
                props = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                props.set_layout(h5py.h5d.CONTIGUOUS)
                props.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                props.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
                name = b'blocks.%d.mlp.hook_post' % layer
                h5py.h5d.create(f.require_group('acts').id, name, h5py.h5t.py_create(np.dtype('f2')),
                                h5py.h5s.create_simple((HUGE, 3072)), props)
        out = run('--time', path, 'acts/blocks.7.mlp.hook_post')
        print(out, end='', file=sys.stderr)
        frame, values, key, tiles = map(float, re.findall(r'([\d.]+) M?m?[sB]', out))
        # The goals are 100 ms and 50 ms; machines that do other things get generous limits.
        self.assertLess(frame, 1000)
        self.assertLess(values, 5000)
        self.assertLess(key, 1000)
        self.assertLess(tiles, 64 * 1.05)


if __name__ == '__main__':
    unittest.main()
