#!/usr/bin/env python3
"""Puts a screen of the workbench, captured in tmux, into README.md: readme.py SONDE [README.md]."""
import os, re, subprocess, sys, time

sonde = os.path.abspath(sys.argv[1])
path = sys.argv[2] if len(sys.argv) > 2 else 'README.md'
tmux = ['tmux', '-L', f'readme{os.getpid()}', '-f', '/dev/null']
env = dict(os.environ, LANG='C.UTF-8', SONDE_CONFIG='/dev/null')
subprocess.run(tmux + ['new-session', '-d', '-x', '100', '-y', '30', sonde, '--color', 'never', '--no-tour',
    '--no-record'], check=True, env=env)
screen = ''
for _ in range(100):
    time.sleep(0.1)
    screen = subprocess.run(tmux + ['capture-pane', '-p'], capture_output=True, text=True, check=True, env=env).stdout
    if ' ready' in screen.splitlines()[0]:
        break
else:
    sys.exit('the workbench did not become ready')
subprocess.run(tmux + ['kill-server'], env=env)
text = open(path).read()
text = re.sub(r'```\n(?:SCREEN| sonde ).*?```\n', lambda m: '```\n' + screen.rstrip('\n') + '\n```\n', text, count=1, flags=re.S)
open(path, 'w').write(text)
