#!/usr/bin/env python3
"""The screens of docs/walkthrough.md: walkthrough.py SONDE docs/walkthrough.md [--check].

Between `<!-- keys: ... wait: TEXT -->` and the block behind it stands what the workbench shows after
those keys (tmux names; 'quoted text' is typed) once TEXT is on the screen. Without --check the blocks
are written anew; with it they are compared. Memory, times and rounding errors are the machine's own
and are not part of the text, nor is the number of things the palette knows."""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

W, H = 100, 30
MARK = re.compile(r"(<!-- keys: (.*?)wait: (.*?) -->\n```text\n)(.*?)(```\n)", re.S)


def settled(text):
    """What the machine alone decides, taken out."""
    lines = []
    for line in text.rstrip("\n").split("\n"):
        line = re.sub(r"\d+ MB · \d+ ms · ready", lambda m: "ready".rjust(len(m.group())), line)
        line = re.sub(r"error \d+e-\d+", lambda m: "error tiny".ljust(len(m.group())), line)
        line = re.sub(r"±\d+e-\d+", lambda m: "±tiny".ljust(len(m.group())), line)
        line = re.sub(r"\d+ of \d+(?= │ [╯│])", lambda m: "some".rjust(len(m.group())), line)
        line = re.sub(r"done in [0-9.e-]+ m?s", "done in a moment", line)
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


class Session:
    def __init__(self, sonde):
        self.folder = tempfile.TemporaryDirectory()
        self.tmux = ["tmux", "-u", "-L", f"walk{os.getpid()}", "-f", "/dev/null"]
        self.env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR", "COLORTERM")}
        self.env.update(LC_ALL="C.UTF-8", SONDE_CONFIG="/dev/null", SONDE_KERNELS="generic",
                        XDG_STATE_HOME=self.folder.name + "/state")
        command = f"cd {shlex.quote(self.folder.name)}; exec {shlex.quote(sonde)} --no-tour --color never"
        for _ in range(20):
            if not subprocess.run(self.tmux + ["new-session", "-d", "-x", str(W), "-y", str(H), command],
                                  env=self.env, stderr=subprocess.DEVNULL).returncode:
                return
            time.sleep(0.2)
        sys.exit("tmux does not start")

    def screen(self):
        return subprocess.run(self.tmux + ["capture-pane", "-p"], capture_output=True, text=True,
                              env=self.env).stdout

    def send(self, keys):
        for word in shlex.split(keys, posix=False):
            if word[0] == "'":
                args = ["-l", word[1:-1]]
            else:
                args = [word]
            subprocess.run(self.tmux + ["send-keys"] + args, env=self.env)

    def show(self, keys, wait):
        self.send(keys)
        last = ""
        for _ in range(300):
            time.sleep(0.1)
            now = self.screen()
            if wait in now and now == last and " ready" in now.split("\n")[0]:
                return settled(now)
            last = now
        sys.exit(f"after the keys {keys}: no \"{wait}\" on\n{last}")

    def close(self):
        subprocess.run(self.tmux + ["kill-server"], env=self.env, stderr=subprocess.DEVNULL)


def main():
    sonde, path = os.path.abspath(sys.argv[1]), sys.argv[2]
    text = open(path, encoding="utf-8").read()
    session = Session(sonde)
    wrong = shown = 0

    def again(m):
        nonlocal wrong, shown
        now = session.show(m.group(2), m.group(3))
        shown += 1
        if now != m.group(4):
            wrong += 1
            if "--check" in sys.argv:
                print(f"after the keys {m.group(2)}{path} has\n{m.group(4)}\nthe screen is\n{now}")
        return m.group(1) + now + m.group(5)

    try:
        fresh = MARK.sub(again, text)
    finally:
        session.close()
    if "--check" not in sys.argv:
        open(path, "w", encoding="utf-8").write(fresh)
    print(f"{shown} screens, {wrong} differ")
    return 1 if not shown or (wrong and "--check" in sys.argv) else 0


if __name__ == "__main__":
    sys.exit(main())
