"""Data sets on a node: unpacked once for all who use them, and gone with the last, however that one ends."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from nasbench.cluster.placing import Placed
from nasbench.cluster.supervisor import Supervisor
from nasbench.errors import Crashed, DeviceError

HOLDER = """
import sys
from nasbench.cluster.placing import Placed
path = Placed().find(sys.argv[1], lambda: open(sys.argv[2], "rb").read())
print(path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Have a folder for temporary files that nobody else uses."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def archive(text="content"):
    """Give an archive of one file `set/x.txt`, and its digest."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        about = tarfile.TarInfo("set/x.txt")
        about.size = len(text)
        packed.addfile(about, io.BytesIO(text.encode()))
    return file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest()


def never():
    raise AssertionError("it is here already")


def folders(temporary):
    return sorted(path.name for path in temporary.glob("*/*") if path.is_dir())


def test_all_who_use_it_share_one_folder_which_goes_with_the_last(temporary):
    data, digest = archive()
    first, second = Placed(), Placed()

    folder = first.find(digest, lambda: data)
    assert first.find(digest, never) == second.find(digest, never) == folder
    assert (folder / "set" / "x.txt").read_text() == "content"

    first.close()
    assert (folder / "set" / "x.txt").exists()
    second.close()
    assert folders(temporary) == []
    assert [path.name for path in temporary.glob("*/*")] == [".gate"]


def test_one_set_goes_while_another_stays(temporary):
    (some, one), (others, other) = archive("a"), archive("b")
    first, second = Placed(), Placed()
    first.find(one, lambda: some)
    second.find(other, lambda: others)

    first.close()

    assert folders(temporary) == [other]
    second.close()


def test_what_a_killed_supervisor_left_is_used_again_or_removed(temporary, tmp_path):
    data, digest = archive()
    (tmp_path / "set.tar").write_bytes(data)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, digest, str(tmp_path / "set.tar")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    path = holder.stdout.readline().strip()
    holder.kill()
    holder.communicate()
    assert Path(path).exists()

    (others, other) = archive("b")
    placed = Placed()
    placed.find(other, lambda: others)

    assert folders(temporary) == [other]
    placed.close()


def test_data_with_another_digest_is_refused_and_nothing_of_it_stays(temporary):
    data, _ = archive("damaged")
    _, digest = archive("whole")

    with pytest.raises(DeviceError, match="is not what was shipped: its SHA-256 is"):
        Placed().find(digest, lambda: data)

    assert folders(temporary) == []


def test_what_was_unpacked_by_half_is_not_used(temporary):
    data, _ = archive()
    part = data[:600]
    digest = hashlib.sha256(part).hexdigest()
    for _ in range(2):
        with pytest.raises(tarfile.TarError):
            Placed().find(digest, lambda: part)


def test_a_folder_that_others_may_read_is_not_used(temporary):
    data, digest = archive()
    root = temporary / f"nasbench-data-{os.getuid()}"
    root.mkdir(mode=0o755)

    with pytest.raises(DeviceError, match="no folder that this user alone may read"):
        Placed().find(digest, lambda: data)


def test_whoever_waits_for_another_to_unpack_can_be_called_off(temporary):
    data, digest = archive()

    def call_off():
        raise Crashed("the driver gave up")

    def fetch():
        with pytest.raises(Crashed, match="gave up"):
            Placed().find(digest, never, wait=call_off)
        return data

    placed = Placed()
    placed.find(digest, fetch)
    placed.close()


def test_what_was_removed_by_half_never_counts_as_whole(temporary, monkeypatch):
    data, digest = archive()
    placed = Placed()
    folder = placed.find(digest, lambda: data)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda path, ignore_errors: Path(path, "set", "x.txt").unlink())
        placed.close()
    assert folders(temporary) == [f"{digest}.dropped"]

    again = placed.find(digest, lambda: data)

    assert again == folder and (folder / "set" / "x.txt").read_text() == "content"
    assert folders(temporary) == [digest]
    placed.close()


def test_what_fails_to_be_unpacked_takes_no_room(temporary):
    part = archive()[0][:600]
    with pytest.raises(tarfile.TarError):
        Placed().find(hashlib.sha256(part).hexdigest(), lambda: part)

    assert folders(temporary) == []


def test_a_python_that_cannot_unpack_safely_is_refused(temporary, monkeypatch):
    data, digest = archive()
    monkeypatch.delattr(tarfile, "data_filter")

    with pytest.raises(DeviceError, match=r"cannot unpack a data set safely; 3\.11\.4 or newer"):
        Placed().find(digest, lambda: data)


def test_a_supervisor_that_starts_removes_what_nobody_uses(temporary):
    (old, gone), (data, digest) = archive("a"), archive("b")
    left, kept = Placed(), Placed()
    left.find(gone, lambda: old)
    kept.find(digest, lambda: data)
    for lock in left._held.values():
        os.close(lock)  # as the kernel does for a process that was killed

    Supervisor()

    assert folders(temporary) == [digest]
    kept.close()


def test_a_supervisor_does_not_wait_for_one_that_unpacks(temporary):
    data, digest = archive()

    def fetch():
        Supervisor()
        return data

    placed = Placed()
    placed.find(digest, fetch)
    placed.close()


def test_nothing_is_made_where_nothing_was_placed(temporary):
    Supervisor()

    assert list(temporary.iterdir()) == []
