import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from small_networks import depthwise_network, network, small_network
from torch import nn

from nasbench.accuracy.data import Dataset, Split, load_data, parse_data
from nasbench.accuracy.fit import Feed, fit, load_weights, one_cycle, save_weights, settled_norms, top1
from nasbench.accuracy.train import Recipe, TrainedAccuracy, default_rungs
from nasbench.errors import DatasetError, DefinitionError, NanOutputError, ShapeError, TimeLimitExceeded
from nasbench.model.build import build
from nasbench.testing import AccuracyContract

SHARED = Path(__file__).parents[2].parent / "shared"
MNIST = parse_data("mnist5k")
QUICK = Recipe(epochs=2, batch_size=128)


def always(epoch, value):
    return True


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Two threads that spin on cores which others want take a minute for a second's work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mnist():
    return load_data(MNIST)


@pytest.fixture(scope="module")
def trained():
    with TrainedAccuracy(MNIST, QUICK, threads=1) as accuracy:
        yield accuracy


class TestTrainedAccuracy(AccuracyContract):
    def make_accuracy(self):
        return TrainedAccuracy(MNIST, QUICK, threads=1)


def test_another_process_gives_exactly_the_same_score(trained):
    score = trained.estimate(small_network(), always)

    with TrainedAccuracy(MNIST, QUICK, threads=1) as fresh:
        fresh.estimate(small_network(width=16), always)  # what came before must not matter
        again = fresh.estimate(small_network(), always)

    assert (score.value, score.curve, score.details) == (again.value, again.curve, again.details)


def test_another_seed_is_another_training(mnist):
    architecture, losses = small_network(), set()
    for seed in (0, 1):
        recipe = Recipe(epochs=1, seed=seed)
        losses.add(fit(build(architecture, seed), Feed(mnist, architecture, recipe), recipe, lambda epoch: True)[1])

    assert len(losses) == 2


def test_training_beats_a_linear_model_that_nobody_here_wrote(mnist):
    from sklearn import linear_model

    flat = [split.images.reshape(len(split), -1) / 255 for split in (mnist.train, mnist.val)]
    yardstick = linear_model.LogisticRegression(C=0.01, tol=0.01, max_iter=300).fit(flat[0], mnist.train.labels)
    linear = yardstick.score(flat[1], mnist.val.labels)

    with TrainedAccuracy(MNIST, threads=1) as accuracy:
        score = accuracy.estimate(depthwise_network(), always)

    assert 0.8 < linear < 0.93
    assert score.value > 0.95
    assert score.value > linear


def test_estimate_never_looks_at_the_test_split(tmp_path):
    generator = np.random.RandomState(0)
    labels = np.arange(400) % 10
    images = generator.randint(0, 80, (400, 32, 32, 3)).astype(np.uint8)
    images[np.arange(400), labels * 3] += 160  # a bright line says the class
    scores = []
    for name, test_labels in (("sound", labels[300:]), ("poisoned", (labels[300:] + 5) % 10)):
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_train=images[:300], y_train=labels[:300], x_test=images[300:], y_test=test_labels)
        recipe = Recipe(epochs=8, batch_size=20, augment=False)
        with TrainedAccuracy(parse_data(f"cifar10={path}"), recipe, threads=1) as accuracy:
            architecture = network([("conv", 8, 2, {}), ("conv", 16, 2, {}), ("pool_linear", 10, 1, {})], (3, 32, 32))
            scores.append((accuracy.estimate(architecture, always), accuracy.final(architecture)))

    (sound, sound_final), (poisoned, poisoned_final) = scores
    assert (sound.value, sound.curve) == (poisoned.value, poisoned.curve)
    assert sound_final.value > poisoned_final.value
    assert (sound.split, sound_final.split) == ("val", "test")
    assert sound.dataset != poisoned.dataset


def test_an_early_end_keeps_the_curve_so_far():
    with TrainedAccuracy(MNIST, replace(QUICK, epochs=4), rungs=(1, 2, 3), threads=1) as accuracy:
        score = accuracy.estimate(small_network(), lambda epoch, value: epoch < 2)

    assert [epoch for epoch, _ in score.curve] == [1, 2]
    assert score.value == score.curve[-1][1]
    assert not score.finished


def test_looking_in_the_middle_sees_what_was_learnt_and_changes_nothing(mnist):
    architecture, recipe = depthwise_network(), Recipe()
    feed, model, seen = Feed(mnist, architecture, recipe), build(architecture), []

    def look(epoch):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with settled_norms(model, feed):
            seen.append(top1(model, feed, mnist.val))
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        return False

    fit(model, feed, recipe, look)

    assert seen[0] > 0.3  # one epoch of six; with the running averages it is 0.1


def test_the_value_is_that_of_the_last_epoch(trained):
    score = trained.estimate(small_network(), always)

    assert score.curve[-1] == (QUICK.epochs, score.value)
    assert score.finished


def test_the_learning_rate_goes_up_and_down_to_zero():
    rates = [one_cycle(step / 100, 0.25) for step in range(101)]

    assert rates[0] == 0
    assert rates[25] == max(rates) == 1
    assert rates == sorted(rates[:26]) + sorted(rates[26:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, ()), (2, (1,)), (3, (1, 2)), (4, (2, 3)), (6, (2, 4)), (12, (4, 8)), (200, (67, 134))]
)
def test_rungs_lie_after_a_third_and_two_thirds(epochs, rungs):
    assert default_rungs(epochs) == rungs


@pytest.mark.parametrize(
    "change",
    [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"label_smoothing": 1}],
)
def test_an_unsound_recipe_is_refused(change):
    with pytest.raises(DefinitionError, match=rf"recipe: {next(iter(change))} is .* is allowed"):
        Recipe(**change)


def test_rungs_outside_the_budget_are_refused():
    with pytest.raises(DefinitionError, match=r"rungs are \(1, 6\); from 1 to 5 is allowed"):
        TrainedAccuracy(MNIST, Recipe(epochs=6), rungs=(6, 1))


def test_a_network_of_another_size_and_of_three_channels_gets_what_it_takes(trained):
    assert 0 <= trained.estimate(small_network(shape=(3, 40, 36)), always).value <= 1


def test_a_network_that_tells_other_classes_apart_is_refused(trained):
    with pytest.raises(ShapeError, match="1000 classes apart, mnist5k has 10"):
        trained.estimate(small_network(classes=1000), always)


def test_a_coloured_image_does_not_fit_a_grey_network(mnist):
    coloured = tiny_dataset(channels=3)

    with pytest.raises(ShapeError, match="takes 1 channels, tiny has 3"):
        Feed(coloured, small_network(shape=(1, 28, 28), classes=2), QUICK)


def test_a_loss_that_explodes_is_a_fault_of_the_candidate(mnist):
    rows = [("conv", 64, 1, {"norm": False, "act": "none"}) for _ in range(6)]
    architecture = network([*rows, ("pool_linear", 10, 1, {})], shape=(1, 8, 8))
    recipe = Recipe(epochs=1, learning_rate=100.0, clip_norm=1e8)

    with pytest.raises(NanOutputError, match=r"the loss is (nan|inf) in step \d+ of epoch 1"):
        fit(build(architecture), Feed(mnist, architecture, recipe), recipe, lambda epoch: True)


def test_a_training_over_its_time_limit_is_a_timeout_and_the_next_one_works():
    with TrainedAccuracy(MNIST, Recipe(epochs=10_000), rungs=(1,), threads=1, limit_s=2.0) as accuracy:
        with pytest.raises(TimeLimitExceeded, match="'train' took longer than its limit"):
            accuracy.estimate(small_network(), always)

        assert not accuracy.estimate(small_network(), lambda epoch, value: False).finished


def test_data_that_cannot_be_had_is_said_when_it_is_opened(tmp_path):
    accuracy = TrainedAccuracy(parse_data(f"cifar10={tmp_path / 'no.npz'}"))

    with pytest.raises(DatasetError, match=r"no\.npz does not exist"):
        accuracy.open()
    accuracy.close()


def test_an_estimator_that_cannot_be_entered_leaves_no_process(tmp_path):
    before = psutil.Process().children(recursive=True)

    with pytest.raises(DatasetError), TrainedAccuracy(parse_data(f"cifar10={tmp_path / 'no.npz'}")):
        pass

    assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_kept_weights_give_the_same_score_again(mnist, trained, tmp_path):
    path = tmp_path / "weights.npz"
    architecture = small_network()

    score = trained.estimate(architecture, always, weights_path=path)

    model = build(architecture, seed=7)
    load_weights(model, path)
    assert top1(model, Feed(mnist, architecture, QUICK), mnist.val) == score.value
    assert list(tmp_path.iterdir()) == [path]


def test_weights_of_another_network_or_a_damaged_file_are_refused(tmp_path):
    save_weights(build(small_network()), tmp_path / "weights.npz")
    with pytest.raises(DatasetError, match="no weights of this network"):
        load_weights(build(small_network(width=16)), tmp_path / "weights.npz")

    (tmp_path / "weights.npz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no weights of this network"):
        load_weights(build(small_network()), tmp_path / "weights.npz")


def tiny_dataset(channels=1, count=8, mirror=False):
    images = np.zeros((count, 16, 16, channels), np.uint8)
    images[:, 8, 8] = 255
    split = Split(images, np.arange(count) % 2)
    return Dataset("tiny", ("a", "b"), split, split, None, mirror)


def test_augmentation_shifts_by_at_most_an_eighth_and_loses_no_image():
    dataset = tiny_dataset(count=200)
    feed = Feed(dataset, small_network(shape=(1, 16, 16), classes=2), Recipe(batch_size=200))

    ((images, labels),) = feed.epoch(torch.Generator().manual_seed(0))

    bright = images.flatten(2).argmax(2).squeeze(1)
    rows, columns = bright // 16, bright % 16
    assert sorted(labels.tolist()) == [0] * 100 + [1] * 100
    assert set(rows.tolist()) == set(columns.tolist()) == {6, 7, 8, 9, 10}


def test_images_are_mirrored_only_where_that_keeps_the_label():
    for mirror in (True, False):
        dataset = tiny_dataset(count=200, mirror=mirror)
        dataset.train.images[:, :, 9:] = 255
        feed = Feed(dataset, small_network(shape=(1, 16, 16), classes=2), Recipe(batch_size=200))
        ((images, _),) = feed.epoch(torch.Generator().manual_seed(0))

        left = images[:, 0, 8, :5].mean(1) > images[:, 0, 8, -5:].mean(1)
        assert (80 < left.sum() < 120) if mirror else not left.any()


def test_a_smaller_train_split_than_a_batch_still_trains():
    dataset = tiny_dataset()
    architecture = small_network(shape=(1, 16, 16), classes=2)

    epochs, loss = fit(build(architecture), Feed(dataset, architecture, QUICK), QUICK, lambda epoch: True)

    assert epochs == 2
    assert np.isfinite(loss)


def test_an_output_of_another_shape_is_named():
    feed = Feed(tiny_dataset(), small_network(shape=(1, 16, 16), classes=2), QUICK)

    with pytest.raises(ShapeError, match=r"the output is \(8, 256\), not \(8, 2\)"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(256, 256)), feed, QUICK, lambda epoch: True)


def test_the_description_names_data_recipe_and_threads(trained):
    description = json.loads(json.dumps(trained.description))

    assert description["data"]["name"] == "mnist5k"
    assert len(description["data"]["digest"]) == 64
    assert description["recipe"]["epochs"] == QUICK.epochs
    assert description["threads"] == 1


@pytest.mark.slow
def test_a_cell_network_learns_cifar10_in_three_epochs():
    path = SHARED / "data" / "cifar10" / "cifar10_uint8_10k2k.npz"
    if not path.exists():
        pytest.skip("the real tables are not beside this checkout")
    edges = {"edge_0_1": "nor_conv_3x3", "edge_1_3": "nor_conv_1x1", "edge_0_3": "skip_connect"}
    rows = [("conv", 16, 1, {"act": "none"})]
    for stage, width in enumerate((16, 32, 64)):
        rows += [("nb201_reduction", width, 2, {})] if stage else []
        rows += [("nb201_cell", width, 1, edges)]
    rows += [("norm_act", 64, 1, {}), ("pool_linear", 10, 1, {})]

    with TrainedAccuracy(parse_data(f"cifar10={path}"), Recipe(epochs=3), threads=1) as accuracy:
        score = accuracy.estimate(network(rows, shape=(3, 32, 32)), always)

    print(f"{score.value:.3f} in {score.seconds:.0f} s", score.curve)
    assert score.value > 0.3
