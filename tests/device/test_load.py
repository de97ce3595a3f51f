"""A device's YAML is read strictly."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nasbench.definitions import list_definitions
from nasbench.device.load import find_device, load_device, open_device, read_device
from nasbench.errors import DefinitionError, DeviceError, UnknownNameError
from nasbench.store.parquet import read_run

MINE = "schema: 1\nname: mine\nabout: My board\nbackend: cpu\nruntime: eager\nthreads: 2\nmemory_limit: 512MiB\n"
ONNX = MINE.replace("runtime: eager", "runtime: onnx") + "dtype: int8\n"


def write(folder, text=MINE, name="mine.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_every_definition_that_nasbench_brings_can_be_read():
    for path in list_definitions("devices").values():
        assert read_device(path).name == path.stem


def test_a_definition_becomes_a_record(tmp_path):
    spec = read_device(write(tmp_path))

    assert (spec.name, spec.backend, spec.runtime, spec.threads) == ("mine", "cpu", "eager", 2)
    assert spec.memory_limit_bytes == 512 << 20


def test_what_is_left_out_has_a_default(tmp_path):
    spec = read_device(write(tmp_path, "schema: 1\nname: mine\nabout: x\nbackend: cpu\n"))

    assert (spec.runtime, spec.threads, spec.memory_limit_bytes) == ("eager", 1, 4 << 30)
    assert (spec.dtype, spec.index) == ("fp32", 0)


def test_a_number_format_and_a_gpu_can_be_given(tmp_path):
    assert read_device(write(tmp_path, ONNX)).dtype == "int8"

    gpu = MINE.replace("backend: cpu", "backend: cuda").replace("eager", "cuda_graph") + "dtype: fp16\nindex: 3\n"
    spec = read_device(write(tmp_path, gpu))
    assert (spec.backend, spec.runtime, spec.dtype, spec.index) == ("cuda", "cuda_graph", "fp16", 3)


def test_the_digest_follows_every_setting_and_not_the_words_about_it(tmp_path):
    spec = read_device(write(tmp_path))
    reworded = read_device(write(tmp_path, MINE.replace("My board", "Another text")))

    assert reworded.digest == spec.digest
    assert replace(spec, threads=4).digest != spec.digest


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("threads:", "thread:", r"mine\.yaml:6: .*'thread'.*'threads'"),
        ("threads: 2", "threads: 0", r"mine\.yaml:6: threads is 0"),
        ("backend: cpu", "backend: cpus", r"mine\.yaml:4: .*'cpus'.*'cpu'"),
        ("runtime: eager", "runtime: eagre", r"mine\.yaml:5: .*'eagre'.*'eager'"),
        ("512MiB", "much", r"mine\.yaml:7: memory_limit .*4GiB"),
        ("512MiB", "1KiB", r"mine\.yaml:7: memory_limit .*64MiB"),
        ("schema: 1", "schema: 2", r"mine\.yaml:1: schema is 2"),
        ("name: mine", "name: yours", r"mine\.yaml:2: name .*'mine'"),
        ("backend: cpu\n", "", "lacks the key 'backend'"),
        ("runtime: eager", "runtime: cuda_graph", r"mine\.yaml:5: .*'cuda_graph' does not run on the backend 'cpu'"),
        ("512MiB\n", "512MiB\ndtype: int4\n", r"mine\.yaml:8: dtype .*'int4'.*fp32"),
        ("512MiB\n", "512MiB\ndtype: int8\n", r"mine\.yaml:8: .*'eager' does not compute in 'int8'.*fp32, fp16, bf16"),
        ("512MiB\n", "512MiB\nindex: 1\n", r"mine\.yaml:8: index .*GPUs"),
        ("512MiB\n", "512MiB\nindex: -1\n", r"mine\.yaml:8: index is -1"),
    ],
)
def test_an_error_names_the_line_and_what_is_allowed(tmp_path, old, new, text):
    with pytest.raises(DefinitionError, match=text):
        read_device(write(tmp_path, MINE.replace(old, new)))


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'cpu'"):
        load_device("cpus")


def test_a_local_file_that_hides_a_bundled_one_is_found_as_such(tmp_path, monkeypatch, capsys):
    (tmp_path / "devices").mkdir()
    write(tmp_path / "devices", MINE.replace("mine", "cpu"), "cpu.yaml")
    monkeypatch.chdir(tmp_path)

    assert load_device("cpu").threads == 2
    assert find_device("cpu").hides.name == "cpu.yaml"
    assert capsys.readouterr() == ("", "")


def test_more_threads_than_cores_is_refused_before_the_first_trial():
    with pytest.raises(DeviceError, match="5000 physical cores"):
        open_device(replace(load_device("cpu"), threads=5000)).open()


def test_reading_devices_imports_no_torch():
    program = (
        "import sys; from nasbench.device.load import load_device; load_device('cpu'); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout == "False\n"


REMOTE = """\
schema: 1
name: mine
about: A board
backend: ray
address: 192.0.2.7:6379
resource: shelf-2
runtime: onnx
cores: 4-7
"""


def test_a_device_somewhere_else_has_an_address_and_a_resource(tmp_path):
    spec = read_device(write(tmp_path, REMOTE))

    assert (spec.address, spec.resource, spec.cores, spec.emulated) == ("192.0.2.7:6379", "shelf-2", "4-7", False)
    assert spec.hardware == "cpu"


def test_the_digest_of_a_device_somewhere_else_does_not_follow_its_cluster(tmp_path):
    spec = read_device(write(tmp_path, REMOTE))

    assert replace(spec, address="127.0.0.1:1").digest == spec.digest
    for change in ({"resource": "shelf-3"}, {"cores": "big"}, {"emulated": True}):
        assert replace(spec, **change).digest != spec.digest


def test_the_digest_of_a_device_of_before_is_what_it_was():
    stored = read_run(Path(__file__).parents[2] / "results" / "reference" / "mnist_tiny-cpu-confirmed")

    assert load_device("cpu").digest == stored.manifest["device_digest"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("address: 192.0.2.7:6379\n", "", "has no 'address', which a device of the backend ray needs"),
        ("resource: shelf-2\n", "", "has no 'resource'"),
        ("192.0.2.7:6379", "somewhere", "write HOST:PORT such as 192.168.1.10:6379"),
        ("shelf-2", "'two words'", "write 1 to 64 letters"),
        ("4-7", "fast", "write big, little, or a list of cores such as 4-7"),
        ("backend: ray", "backend: cpu", "is given to the backend cpu; it says where a device of the backend ray is"),
        ("runtime: onnx", "runtime: cuda_graph", "does not run on the backend 'cpu'"),
        ("cores: 4-7", "index: 1", "is given to the backend ray; it numbers the GPUs of the backend cuda"),
        ("cores: 4-7", "emulated: maybe", "emulated"),
    ],
)
def test_what_cannot_be_of_a_device_somewhere_else_is_refused(tmp_path, old, new, text):
    with pytest.raises(DefinitionError, match=re.escape(text)):
        read_device(write(tmp_path, REMOTE.replace(old, new)))
