"""A training step does what torch's own does, leaves the weights as they are, and says what cannot be trained."""

import pytest
import torch
from torch import nn

from nasbench.errors import BuildError, ShapeError
from nasbench.model.build import build
from nasbench.runtime.base import RUNTIMES, load_runtime
from nasbench.runtime.images import draw_images
from nasbench.runtime.training import draw_labels
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

SHAPE = (2, 3, 16, 16)
NETWORK = Architecture(
    SHAPE[1:],
    10,
    (
        make_block("conv", 3, 8, 2, {}, "row"),
        make_block("mbconv", 8, 16, 2, {"se": 0.25, "act": "hswish"}, "row"),
        make_block("pool_linear", 16, 10, 1, {}, "row"),
    ),
)


def calls_of(network, shape=SHAPE):
    runtime = load_runtime("training")
    with runtime.context():
        return runtime.prepare(network, draw_images(shape, 0), "fp32")


def test_a_call_gives_the_logits_and_leaves_the_gradients_of_plain_autograd():
    network, twin = build(NETWORK, seed=3), build(NETWORK, seed=3)
    first, second, *_ = calls_of(network)
    first()  # its gradients are gone in the next step, else they would be in the sum
    logits = second()

    expected = twin(torch.from_numpy(draw_images(SHAPE, 0)[1]))
    nn.CrossEntropyLoss()(expected, draw_labels(expected)).backward()

    assert torch.equal(logits, expected.detach())
    assert not logits.requires_grad
    gradients = [parameter.grad for parameter in twin.parameters()]
    assert all(gradient.any() for gradient in gradients)
    assert all(
        torch.equal(parameter.grad, gradient)
        for parameter, gradient in zip(network.parameters(), gradients, strict=True)
    )


def test_the_weights_stay_and_with_them_the_output(monkeypatch):
    updated = []
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *taken, step=torch.optim.SGD.step: updated.append(step(*taken)))
    network = build(NETWORK)
    before = [parameter.clone() for parameter in network.parameters()]
    calls = calls_of(network)
    outputs = [call() for call in (*calls, *calls)]

    assert len(updated) == len(outputs) == 8
    assert all(map(torch.equal, network.parameters(), before))
    assert all(map(torch.equal, outputs[:4], outputs[4:]))
    assert not torch.equal(outputs[0], outputs[1])


def test_dropout_drops_the_same_in_every_step():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 5)).train()
    call, *_ = calls_of(network, (2, 3, 8, 8))
    first = call()

    assert torch.equal(call(), first)
    assert not torch.equal(network.eval()(torch.from_numpy(draw_images((2, 3, 8, 8), 0)[0])), first)


def test_a_weight_that_takes_no_gradient_keeps_none():
    network = nn.Sequential(nn.Conv2d(3, 4, 3).requires_grad_(False), nn.Flatten(), nn.Linear(144, 5)).train()
    call, *_ = calls_of(network, (1, 3, 8, 8))
    call()

    assert network[0].weight.grad is None
    assert network[2].weight.grad is not None


def test_every_place_has_a_label_where_the_network_puts_out_maps():
    call, *_ = calls_of(nn.Conv2d(3, 4, 3, padding=1), (2, 3, 8, 8))
    labels = draw_labels(call())

    assert labels.shape == (2, 8, 8)
    assert labels.unique().tolist() == [0, 1, 2, 3]


def test_a_network_without_weights_cannot_be_trained():
    with pytest.raises(BuildError, match="none of its weights takes a gradient"):
        calls_of(nn.Identity())


def test_an_output_without_classes_cannot_be_trained():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Flatten(0))
    call, *_ = calls_of(network, (2, 3, 8, 8))

    with pytest.raises(ShapeError, match=r"puts out \(2,\); training needs logits"):
        call()


@pytest.mark.parametrize("name", [kind.name for kind in RUNTIMES.values() if "cpu" in kind.backends])
def test_a_runtime_is_given_the_form_that_its_kind_says(name):
    assert load_runtime(name).form == RUNTIMES[name].form == ("training" if name == "training" else "inference")
