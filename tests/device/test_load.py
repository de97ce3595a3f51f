"""A device's YAML is read strictly."""

import subprocess
import sys
from dataclasses import replace

import pytest

from nasbench.definitions import list_definitions
from nasbench.device.load import find_device, load_device, open_device, read_device
from nasbench.errors import DefinitionError, DeviceError, UnknownNameError

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
