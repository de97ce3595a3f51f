"""The selective scan equals its recurrence, step by step in double precision."""

import pytest
import torch
from exported import run_in_onnxruntime
from forms import relative_difference
from torch.utils.flop_counter import FlopCounterMode

from nasbench.model.blocks.scan import SelectiveScan, linear_scan, selective_scan
from nasbench.model.build import initialize


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def step_by_step(inputs, steps, rates, writes, reads, skip):
    """Run the recurrence for each sequence and each channel, as the paper writes it."""
    inputs, steps, rates, writes, reads, skip = (
        tensor.double() for tensor in (inputs, steps, rates, writes, reads, skip)
    )
    batch, groups, length, channels = inputs.shape
    outputs = torch.zeros_like(inputs)
    for image in range(batch):
        for group in range(groups):
            state = torch.zeros(channels, rates.shape[2], dtype=torch.float64)
            for t in range(length):
                step, value = steps[image, group, t, :, None], inputs[image, group, t, :, None]
                state = torch.exp(step * rates[group]) * state + step * value * writes[image, group, t]
                outputs[image, group, t] = (state * reads[image, group, t]).sum(1)
    return outputs + skip[:, None] * inputs


def arguments(length, *, batch=2, groups=3, channels=5, state=4, step=0.1):
    return (
        drawn(batch, groups, length, channels),
        step * drawn(batch, groups, length, channels, seed=2).exp(),
        -drawn(groups, channels, state, seed=3).exp(),
        drawn(batch, groups, length, state, seed=4),
        drawn(batch, groups, length, state, seed=5),
        drawn(groups, channels, seed=6),
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 31, 32, 49, 196])
def test_it_equals_the_recurrence_at_any_length(length):
    given = arguments(length)

    assert relative_difference(selective_scan(*given), step_by_step(*given)) < 1e-5


@pytest.mark.parametrize("step", [1e-6, 1e-3, 30.0, 1e4])
def test_long_sequences_neither_overflow_nor_lose_digits_whether_states_stay_or_vanish(step):
    *given, skip = arguments(3136, batch=1, groups=1, channels=3, step=step)

    outputs = selective_scan(*given)

    expected = step_by_step(*given, torch.zeros_like(skip))
    assert outputs.isfinite().all()
    assert relative_difference(outputs / step, expected / step) < 2e-5


def test_without_steps_the_input_is_skipped_through():
    inputs, steps, *others, skip = arguments(49)

    torch.testing.assert_close(selective_scan(inputs, torch.zeros_like(steps), *others, skip), skip[:, None] * inputs)


def test_decays_of_exactly_0_and_1_forget_and_add_up():
    inputs = drawn(1, 3136, 2, seed=7)
    decays = torch.tensor([0.0, 1.0]).expand(1, 3136, 2)

    states = linear_scan(decays, inputs)

    assert torch.equal(states[..., 0], inputs[..., 0])
    assert relative_difference(states[..., 1], inputs[..., 1].double().cumsum(1)) < 1e-5


def test_an_output_depends_on_no_later_input():
    inputs, *others = arguments(49)
    changed = inputs.clone()
    changed[:, :, 20:] += 1

    before, after = selective_scan(inputs, *others), selective_scan(changed, *others)

    torch.testing.assert_close(before[:, :, :20], after[:, :, :20])
    assert (before[:, :, 20] - after[:, :, 20]).abs().min() > 0


def test_gradients_are_those_of_the_recurrence():
    given = [tensor.double().requires_grad_() for tensor in arguments(11, batch=1, groups=2, channels=2, state=3)]

    assert torch.autograd.gradcheck(selective_scan, given)
    ours = torch.autograd.grad(selective_scan(*given).square().sum(), given)
    theirs = torch.autograd.grad(step_by_step(*given).square().sum(), given)
    for pair in zip(ours, theirs, strict=True):
        torch.testing.assert_close(*pair)


def test_half_precision_is_scanned_in_single():
    given = [tensor.bfloat16() for tensor in arguments(196, step=1e-3)]

    outputs = selective_scan(*given)

    assert outputs.dtype == torch.bfloat16
    assert relative_difference(outputs.double(), step_by_step(*given)) < 2**-8


def module(groups=2, channels=6, state=4, rank=3):
    scan = SelectiveScan(channels, state=state, rank=rank, groups=groups)
    initialize(scan, seed=3)
    return scan.eval().requires_grad_(False)


def test_the_module_makes_steps_writes_and_reads_of_its_input():
    scan = module()
    sequences = drawn(2, 2, 9, 6)
    chosen = torch.einsum("ngld,gcd->nglc", sequences, scan.select)
    steps = torch.log1p(torch.exp(torch.einsum("nglr,gcr->nglc", chosen[..., :3], scan.widen) + scan.bias[:, None]))

    expected = step_by_step(sequences, steps, -scan.log_rates.exp(), chosen[..., 3:7], chosen[..., 7:11], scan.skip)

    assert relative_difference(scan(sequences), expected) < 1e-5


def test_it_starts_with_the_rates_and_steps_of_the_paper():
    scan = module(channels=64)

    steps = torch.nn.functional.softplus(scan.bias)

    torch.testing.assert_close(scan.log_rates.exp()[0, 0], torch.arange(1.0, 5.0))
    assert 1e-3 <= steps.min() < 2e-3
    assert 0.05 < steps.max() <= 0.1


def test_a_scan_counts_the_products_of_states_with_reads_on_any_device():
    shapes = [tuple(tensor.shape) for tensor in arguments(49)]

    for device in ("meta", "cpu"):
        with FlopCounterMode(display=False) as counter:
            outputs = selective_scan(*(torch.zeros(shape, device=device) for shape in shapes))
        assert outputs.shape == shapes[0]
        assert counter.get_total_flops() // 2 == 2 * 3 * 49 * 5 * 4


class OnImages(torch.nn.Module):
    """Scan the rows of an image one behind the other."""

    def __init__(self):
        super().__init__()
        self.scan = module(groups=1)

    def forward(self, images):
        return self.scan(images.flatten(2).transpose(1, 2)[:, None])


@pytest.mark.parametrize("size", [1, 3, 8])
def test_onnxruntime_gives_what_torch_gives(size, tmp_path):
    network, images = OnImages(), drawn(1, 6, size, size)

    output = run_in_onnxruntime(network, images, tmp_path / "scan.onnx")

    assert relative_difference(output, network(images)) < 1e-5
