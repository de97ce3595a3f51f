"""Runs exported source in a process of its own that cannot import nasbench, nor anything beside torch and Python."""

import json
import subprocess
import sys

import torch

_RUNNER = """
import importlib.abc, importlib.util, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "nasbench":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
try:
    import nasbench
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("nasbench can be imported here")
import torch
torch.set_num_threads(1)
for line in sys.stdin:
    asked = json.loads(line)
    spec = importlib.util.spec_from_file_location("exported", asked["source"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = torch.load(asked["given"], weights_only=True)
    scope = {"torch": torch, "exported": module, "given": given}
    exec(asked["code"], scope)
    torch.save(scope["answer"], asked["answer"])
    print("done", flush=True)
"""


class Alone:
    """A process that answers what a piece of code makes of an exported file."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, source, given, code, folder):
        """Execute `code`, which sees `exported` and `given` and leaves `answer`, and give that."""
        path, sent, answer = folder / "exported.py", folder / "given.pt", folder / "answer.pt"
        path.write_text(source, encoding="utf-8")
        torch.save(given, sent)
        asked = {"source": str(path), "given": str(sent), "code": code, "answer": str(answer)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise AssertionError(self._process.stderr.read())
        return torch.load(answer, weights_only=True)

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=20)
