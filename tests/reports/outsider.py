"""A report as h5py sees it, and what is left of one whose writer was killed or ran out of space.

    outsider.py WRITER      (python3 with numpy and h5py)
"""
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

WRITER = os.path.abspath(sys.argv.pop(1))


def write(*args, **kwargs):
    return subprocess.run([WRITER, *map(str, args)], capture_output=True, text=True, timeout=120, **kwargs)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='sonde-')
        self.path = os.path.join(self.folder.name, 'r.h5')
        self.addCleanup(self.folder.cleanup)


class Document(Folder):
    def setUp(self):
        super().setUp()
        r = write('document', self.path)
        self.assertEqual((r.returncode, r.stderr), (0, ''))
        self.f = h5py.File(self.path, 'r')
        self.addCleanup(self.f.close)

    def test_root(self):
        self.assertEqual(dict(self.f.attrs), {
            'schema': 'sonde-report', 'schema_version': 1, 'tool_version': '1.2.3',
            'command': 'sonde run lens', 'threads': 2, 'kernel_set': 'avx2'})
        self.assertEqual(os.listdir(self.folder.name), ['r.h5'])

    def test_inputs(self):
        i = self.f['inputs']
        self.assertEqual(list(i['text'].asstr()[()]), ['Mära \\xff', 'x'])
        self.assertEqual(list(i['offsets'][()]), [0, 4, 5])
        self.assertEqual((list(i['tokens'][()]), i['tokens'].dtype), ([0, 5, 6, 7, 9], np.int32))
        self.assertEqual(list(i['token_str'].asstr()[()])[:3], ['<|endoftext|>', ' Mära', '\\xf0\\x9f'])
        for d in i.values():
            self.assertTrue(d.dims[0].label and 'unit' in d.attrs and d.attrs['long_name'])
            self.assertIsNone(d.maxshape[0])

    def test_run(self):
        self.assertEqual(list(self.f['runs']), ['000-lens'])
        a = self.f['runs/000-lens'].attrs
        self.assertEqual((a['analysis'], a['status'], a['message'], a['param.top'], a['param.tol']),
                         ('lens', 'complete', '', 5, 0.25))
        self.assertEqual(list(a['inputs']), [0, 2])

    def test_blocks(self):
        g = self.f['runs/000-lens']
        d = g['input_0/entropy']
        self.assertEqual([x.label for x in d.dims], ['layer', 'pos'])
        self.assertEqual((d.dtype, d.shape, d.fletcher32), (np.float32, (3, 4), True))
        self.assertEqual((d.attrs['unit'], d.attrs['long_name'], d.attrs['source'], d.attrs['look']),
                         ('nats', 'entropy of the next token', 'logit lens', 'heatmap'))
        self.assertEqual(np.isnan(d[()]).sum(), 1)
        self.assertEqual(d[2, 3], 5.5)
        self.assertEqual(len(d.dims[0]), 0)
        self.assertEqual(d.dims[1][0].asstr()[1], ' Mära')
        p = g['input_0/pattern']
        self.assertEqual((p.dtype, p[0, 1]), (np.float16, np.float16(1 + 2 ** -10)))
        self.assertEqual(list(p.dims[0][0][()]), list(p.dims[1][0][()]))
        self.assertEqual((p.dims[0][0].name, p.dims[1][0].name),
                         ('/runs/000-lens/input_0/axes/query', '/runs/000-lens/input_0/axes/key'))
        self.assertEqual((g['input_1/loss'][()], g['input_1/loss'].shape), (2.5, ()))
        self.assertEqual(g['is_head'].dtype, bool)
        self.assertEqual(list(g['is_head'][()]), [False, False, True, False, False])

    def test_scales(self):
        c = self.f['runs/000-lens/contribution']
        self.assertEqual(list(c.dims[0][0][()]), [0, 100, 2000])
        self.assertEqual(list(c.dims[1][0].asstr()[()]), ['embed', 'pos_embed', 'L0H0', 'L0_mlp', 'bias'])
        self.assertTrue(h5py.h5ds.is_scale(c.dims[1][0].id))
        self.assertEqual(list(c.dims[1].keys()), ['component'])
        users = c.dims[1][0].attrs['REFERENCE_LIST']
        self.assertEqual([(self.f[r], i) for r, i in users], [(c, 1), (self.f['runs/000-lens/is_head'], 0)])
        self.assertTrue(h5py.h5ds.is_attached(c.id, c.dims[1][0].id, 1))

    def test_table(self):
        t = self.f['runs/000-lens/ranking']
        self.assertEqual((t.shape, t.dtype.names), ((1000,), ('head', 'score', 'rank')))
        self.assertEqual((t['score'].dtype, t['rank'].dtype), (np.float32, np.int64))
        self.assertEqual(t[13]['head'], b'L1H1')
        self.assertTrue((t['rank'] == np.arange(1000)).all() and (t['score'] == np.arange(1000) / 4).all())
        self.assertEqual(list(t.attrs['column_units']), ['', 'share', ''])

    def test_every_dataset_says_what_it_is(self):
        def look(name, d):
            if isinstance(d, h5py.Dataset):
                self.assertIn('unit', d.attrs, name)
                self.assertTrue(d.attrs['long_name'], name)
                self.assertTrue(all(x.label for x in d.dims), name)
                text = h5py.check_string_dtype(d.dtype) is not None
                self.assertEqual(d.fletcher32, bool(d.shape) and not text, name)
                self.assertIsNone(d.compression, name)
        self.f.visititems(look)

    def test_other_readers(self):
        if not shutil.which('h5dump'):
            self.fail('no h5dump here: install hdf5-tools')
        self.assertEqual(subprocess.run(['h5dump', self.path], capture_output=True).returncode, 0)


class Crash(Folder):
    def test_killed_writers_leave_their_slices(self):
        for rows in (1, 2, 5, 17, 40, 41, 90, 200):
            p = subprocess.Popen([WRITER, 'slices', self.path], stdout=subprocess.PIPE, text=True)
            told = [int(p.stdout.readline()) for _ in range(rows)][-1]
            p.send_signal(signal.SIGKILL)
            p.wait()
            p.stdout.close()
            self.assertFalse(os.path.exists(self.path))
            with h5py.File(self.path + '.part', 'r') as f:
                g = f['runs/000-patch']
                self.assertEqual(g.attrs['status'], 'running')
                done = g['effect'][:told + 1]
                self.assertTrue((done == np.arange(told + 1)[:, None]).all(), rows)
                self.assertTrue((g['steps']['i'][:told + 1] == np.arange(told + 1)).all(), rows)
                self.assertTrue(np.isnan(g['effect'][told + 5000:told + 5003]).all())

    def test_next_writer_takes_over(self):
        p = subprocess.Popen([WRITER, 'slices', self.path], stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        second = write('document', self.path)
        self.assertEqual(second.returncode, 5)
        self.assertIn('another process', second.stderr)
        p.kill()
        p.wait()
        p.stdout.close()
        self.assertEqual(write('document', self.path).returncode, 0)
        self.assertEqual(os.listdir(self.folder.name), ['r.h5'])


class Space(Folder):
    def test_full_disk_is_one_line(self):
        with open(self.path, 'w') as f:
            f.write('old')
        # libhdf5 itself loses a page where its cache cannot be written; what is ours must not.
        quiet = os.path.join(self.folder.name, 'quiet')
        with open(quiet, 'w') as f:
            f.write('leak:libhdf5\n')
        env = {**os.environ, 'LSAN_OPTIONS': f'suppressions={quiet}:print_suppressions=0'}
        for kind, limits in (('document', (0, 1000, 4000, 20000, 40000)), ('slices', (3000, 30000, 1000000))):
            for limit in limits:
                r = write(kind, self.path, 2000, env=env,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                self.assertEqual(r.returncode, 5, (kind, limit, r))
                self.assertEqual(len(r.stderr.splitlines()), 1, r.stderr)
                self.assertIn('File too large', r.stderr)
                self.assertEqual(os.path.getsize(self.path), 3)  # the old file is untouched

    def test_places_that_cannot_be_written(self):
        for path in ('/dev/full', '/no/such/folder/x.h5', self.folder.name):
            r = write('document', path)
            self.assertEqual((r.returncode, len(r.stderr.splitlines())), (5, 1), path)

    def test_mode_and_links_stay(self):
        write('document', self.path)
        os.chmod(self.path, 0o640)
        os.symlink('r.h5', self.path + '.link')
        self.assertEqual(write('document', self.path + '.link').returncode, 0)
        self.assertTrue(os.path.islink(self.path + '.link'))
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640)

    def test_memory_is_flat(self):
        small, large = write('big', self.path, 10), write('big', self.path, 50)
        with open(WRITER, 'rb') as f:
            is_sanitized = b'__asan_init' in f.read()
        if not is_sanitized:  # else the size is the sanitizer's own, which keeps what is freed
            self.assertLess(int(large.stdout), int(small.stdout) + 8)
        with h5py.File(self.path, 'r') as f:
            d = f['runs/000-logits/logits']
            self.assertLessEqual(np.prod(d.chunks) * 4, 2 ** 20)
            self.assertEqual(d[249, 6400], 249 * 6400)
        self.assertLess(os.path.getsize(self.path), 250 * 50257 * 4 * 1.01)


if __name__ == '__main__':
    unittest.main()
