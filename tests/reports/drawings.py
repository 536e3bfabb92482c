"""What sonde export writes of a block, in each form and of each part, against h5py and NumPy; and
that every drawing on paper is well-formed, names itself and carries its numbers."""
import io
import json
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

import h5py
import numpy as np

SONDE = sys.argv.pop(1)
SVG = '{http://www.w3.org/2000/svg}'


def sonde(*args, ok=True):
    r = subprocess.run([SONDE, *map(str, args)], capture_output=True, timeout=120)
    if ok and r.returncode:
        raise AssertionError(f'{args}: {r.stderr.decode()}')
    return r


def blocks():
    r = np.random.default_rng(4)
    odd = r.normal(size=(9, 13)).astype('f4')
    odd[2, 3], odd[4, 5], odd[4, 6] = np.nan, np.inf, -np.inf
    return {
        'row': r.normal(size=17).astype('f4'), 'odd': odd, 'one': np.array([[3.5]], 'f8'),
        'constant': np.full((5, 6), 7, 'f4'), 'wide': (10.0 ** np.linspace(-30, 30, 13)).astype('f4'),
        'counts': r.integers(-2 ** 62, 2 ** 62, (4, 5)), 'half': r.normal(size=(6, 7)).astype('f2'),
        'cube': r.normal(size=(3, 4, 5)), 'six': r.normal(size=(2, 3, 4, 2, 3, 5)).astype('f4'),
        'empty': np.zeros((0, 4), 'f4'), 'big': r.normal(size=(1000, 1000)).astype('f4'),
        'score': r.normal(size=8).astype('f4'), 'score_se': r.random(8).astype('f4'),
    }


class Exports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name) / 'x.h5'
        cls.blocks = blocks()
        with h5py.File(cls.path, 'w') as f:
            for name, v in cls.blocks.items():
                f[name] = v

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def npy(self, name, *flags):
        return np.load(io.BytesIO(sonde('export', self.path, name, '--npy', *flags).stdout))

    def test_forms(self):
        for name, v in self.blocks.items():
            if name == 'big':
                continue
            got = self.npy(name)
            self.assertEqual((got.dtype, got.shape), (v.dtype, v.shape), name)
            np.testing.assert_array_equal(got, v, name)
            told = json.loads(sonde('export', self.path, name, '--json').stdout)
            values = [np.nan if x is None else x for x in np.array(told['values'], object).ravel()]
            if v.dtype.kind == 'i':
                self.assertEqual(values, v.ravel().tolist())
            else:
                np.testing.assert_array_equal(np.array(values, v.dtype), v.ravel(), name)
            self.assertEqual([a['size'] for a in told['axes']], list(v.shape))

    def test_csv(self):
        text = sonde('export', self.path, 'odd', '--csv').stdout.decode().splitlines()
        got = np.array([line.split(',')[1:] for line in text[1:]], 'f4')
        np.testing.assert_array_equal(got, self.blocks['odd'])
        text = sonde('export', self.path, 'six', '--csv').stdout.decode().splitlines()
        got = np.array([line.split(',')[-1] for line in text[1:]], 'f4').reshape(self.blocks['six'].shape)
        np.testing.assert_array_equal(got, self.blocks['six'])

    def test_slices(self):
        six = self.blocks['six']
        for flag, want in [('1', six[1]), ('1,:,2', six[1, :, 2]), (':,1:,0:2,-1', six[:, 1:, 0:2, -1]),
                           ('dim_5=1:4', six[..., 1:4]), ('dim_4=2,dim_0=0,dim_3=:1', six[0, :, :, :1, 2]),
                           ('1,2,3,1,2,4', six[1, 2, 3, 1, 2, 4])]:
            got = self.npy('six', '--slice', flag)
            self.assertEqual((got.shape, got.dtype), (want.shape, want.dtype), flag)
            np.testing.assert_array_equal(got, want, flag)
        counts = self.blocks['counts']
        np.testing.assert_array_equal(self.npy('counts', '--slice', '1:3,2'), counts[1:3, 2])
        text = sonde('export', self.path, 'row', '--csv', '--slice', '5:8').stdout.decode().splitlines()
        self.assertEqual([line.split(',')[0] for line in text[1:]], ['5', '6', '7'])
        told = json.loads(sonde('export', self.path, 'cube', '--json', '--slice', '2,1:').stdout)
        self.assertEqual(told['slice'], {'dim_0': 2})
        self.assertEqual(told['axes'][0]['first'], 1)

    def test_bad_slices_are_one_line(self):
        for flags in (['--slice', '9'], ['--slice', '1,1,1,1'], ['--slice', 'nothing=1'], ['--slice', '1:9'],
                      ['--slice', '2:1'], ['--slice', ''], ['--slice', 'x'], ['--slice', '0,0=1'],
                      ['--reduce', 'mean'], ['--along', '0'], ['--reduce', 'median', '--along', '0'],
                      ['--reduce', 'mean', '--along', '7'], ['--reduce', 'std', '--along', '0,1']):
            r = sonde('export', self.path, 'cube', '--npy', *flags, ok=False)
            self.assertEqual((r.returncode, r.stdout, r.stderr.count(b'\n')), (2, b'', 1), flags)

    def test_reductions(self):
        how = {'mean': np.nanmean, 'max': np.nanmax, 'min': np.nanmin, 'std': np.nanstd,
               'norm': lambda x, axis: np.sqrt(np.nansum(x * x, axis)),
               'absmax': lambda x, axis: np.take_along_axis(
                   x, np.expand_dims(np.nanargmax(abs(x), axis), axis), axis).squeeze(axis)}
        for name in ('cube', 'six', 'row'):
            v = self.blocks[name].astype('f8')
            for word, f in how.items():
                for axis in range(v.ndim):
                    got = self.npy(name, '--reduce', word, '--along', axis)
                    np.testing.assert_allclose(got, f(v, axis), rtol=1e-12, err_msg=f'{name} {word} {axis}')
        v = self.blocks['odd'].astype('f8')
        v[4] = 0
        with h5py.File(self.path.with_name('nan.h5'), 'w') as f:
            f['v'] = v
        got = np.load(io.BytesIO(sonde('export', self.path.with_name('nan.h5'), 'v', '--npy', '--reduce', 'std',
                                       '--along', 'dim_1').stdout))
        np.testing.assert_allclose(got, np.nanstd(v, 1), rtol=1e-12)
        six = self.blocks['six'].astype('f8')
        np.testing.assert_allclose(
            self.npy('six', '--reduce', 'mean', '--along', 'dim_1,dim_4', '--slice', 'dim_0=1'),
            six[1].mean((0, 3)), rtol=1e-12)

    def drawing(self, name, *flags):
        text = sonde('export', self.path, name, '--svg', *flags).stdout
        root = ET.fromstring(text)
        self.assertEqual(root.tag, SVG + 'svg')
        self.assertEqual(root.get('role'), 'img')
        self.assertTrue(root.find(SVG + 'title').text and root.find(SVG + 'desc').text)
        width, height = float(root.get('width')), float(root.get('height'))
        for e in root.iter():
            for key, value in e.attrib.items():
                self.assertNotRegex(value, r'\b(nan|inf)\b')
                if key in ('x', 'y', 'x1', 'x2', 'y1', 'y2') and e.tag != SVG + 'svg':
                    self.assertGreaterEqual(float(value), -1, (name, flags, e.tag))
                    self.assertLessEqual(float(value), max(width, height) + 1, (name, flags, e.tag, e.text))
        return root

    def test_drawings(self):
        views = {'heatmap': 2, 'table': 0, 'bars': 0, 'lines': 0, 'contour': 2, 'tokens': 1, 'multiples': 3}
        for name, v in self.blocks.items():
            for view, least in views.items():
                if v.ndim < max(least, 1) or (name == 'big' and view in ('table', 'tokens')):
                    continue
                self.drawing(name, '--view', view)
                self.drawing(name, '--view', view, '--log-scale')

    @staticmethod
    def tips(root):
        return [e.text for e in root.iter(SVG + 'title')][1:]

    def test_drawings_carry_their_numbers(self):
        v = self.blocks['odd']
        tips = self.tips(self.drawing('odd', '--view', 'heatmap'))
        got = np.full(v.shape, np.nan, 'f4')
        for t in tips:
            row, column, word = re.match(r'dim_0 (\d+), dim_1 (\d+): (.*)$', t).groups()
            word = re.sub(r'.*\((.*)\)', r'\1', word).replace('−', '-').replace('no value', 'nan')
            got[int(row), int(column)] = np.float32(word)
        np.testing.assert_array_equal(got, v)
        bars = self.tips(self.drawing('score', '--view', 'bars'))
        np.testing.assert_array_equal(np.array(bars, 'f4'), self.blocks['score'])
        table = self.tips(self.drawing('half', '--view', 'table'))
        np.testing.assert_array_equal(np.array(table, 'f2').reshape(7, 6).T, self.blocks['half'])
        line = self.tips(self.drawing('row', '--view', 'lines'))
        np.testing.assert_array_equal(np.array([t.split(': ')[1] for t in line], 'f4'), self.blocks['row'])

    def test_a_million_cells_are_one_picture(self):
        root = self.drawing('big', '--view', 'heatmap')
        self.assertEqual(len(root.findall(SVG + 'image')), 1)

    def test_errors_beside_their_values(self):
        text = sonde('show', self.path, 'score', '--view', 'bars').stdout.decode()
        self.assertIn('± standard error', text)
        for x in self.blocks['score_se']:
            self.assertIn(f'± {x:.3f}', text)

    def test_shown_numbers_are_the_block(self):
        text = sonde('show', self.path, 'half', '--view', 'table').stdout.decode().replace('−', '-')
        rows = [line.split()[1:] for line in text.splitlines() if re.match(r'\d ', line)]
        np.testing.assert_allclose(np.array(rows, 'f8'), self.blocks['half'], atol=5.1e-4)


if __name__ == '__main__':
    unittest.main()
