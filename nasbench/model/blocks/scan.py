"""The selective scan of Mamba in plain operations, which export to ONNX: a state for each channel, along a sequence."""

from __future__ import annotations

from math import ceil, log

import torch
from torch import Tensor, nn
from torch.nn import functional

_STEPS = (1e-3, 1e-1)
"""Between what the steps start, before the inputs change them; as in the code of Gu and Dao, state-spaces/mamba."""

_CHANNELS_A_RANK = 16
"""How many channels of a block stand for one of the bottleneck of its steps: mamba_simple.py there."""


def linear_scan(decays: Tensor, inputs: Tensor) -> Tensor:
    """Give all states of `state[t] = decays[t] * state[t - 1] + inputs[t]`, which starts at 0.

    (N, L, C) and (N, L, C) -> (N, L, C). Neighbours are joined in pairs, the half as long sequence of pairs is scanned
    in the same way, and the states between follow from it: a dozen operations for each of log2(L) halvings, and 3 L C
    products in all. Nothing is divided, so nothing overflows where decays lie between 0 and 1.

    Source: Blelloch, Prefix Sums and Their Applications, 1990, section 1.4.
    """
    length = decays.shape[1]
    if length == 1 or inputs.is_meta:
        return inputs  # there are no values on the meta device, and these operations would be most of the time there
    pairs = length // 2
    even_decays, odd_decays = decays[:, ::2], decays[:, 1::2]
    even_inputs, odd_inputs = inputs[:, ::2], inputs[:, 1::2]
    odd_states = linear_scan(even_decays[:, :pairs] * odd_decays, odd_decays * even_inputs[:, :pairs] + odd_inputs)
    before = functional.pad(odd_states, (0, 0, 1, 0))[:, : length - pairs]
    even_states = even_decays * before + even_inputs
    states = torch.stack((even_states[:, :pairs], odd_states), dim=2).flatten(1, 2)
    return states if length % 2 == 0 else torch.cat((states, even_states[:, pairs:]), dim=1)


def selective_scan(
    inputs: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor, skip: Tensor | None = None
) -> Tensor:
    """Run each channel through a linear recurrence of `S` states whose coefficients depend on the position.

    `state[t] = exp(steps[t] * rates) * state[t - 1] + steps[t] * inputs[t] * writes[t]`, from 0, and
    `output[t] = reads[t] @ state[t] + skip * inputs[t]`.

    (N, G, L, C) -> (N, G, L, C), for G sequences with weights of their own (1 where there is but one).

    Args:
        inputs: (N, G, L, C); u in the paper.
        steps: (N, G, L, C), not below 0, so behind the softplus; delta in the paper.
        rates: (G, C, S), not above 0; A in the paper.
        writes: (N, G, L, S); B in the paper.
        reads: (N, G, L, S); C in the paper.
        skip: (G, C); D in the paper.

    Source: Gu and Dao, Mamba, 2023, arXiv:2312.00752, algorithm 2.
    Differs: the authors' kernel keeps states on the chip. These operations write them to memory, C x S numbers for each
    position; latency and memory are those of this form. States are computed in single precision at least, as theirs.
    MACs count the products of states with `reads` (L x C x S), and not what is element-wise.
    """
    exact = torch.promote_types(inputs.dtype, torch.float32)
    # positions first, so that the large tensors are made as the scan wants them
    flow, steps, writes, reads = (tensor.to(exact).transpose(1, 2) for tensor in (inputs, steps, writes, reads))
    decays = (steps[..., None] * rates.to(exact)).exp()
    added = (steps * flow)[..., None] * writes[..., None, :]
    states = linear_scan(decays.flatten(2), added.flatten(2)).reshape(added.shape)
    outputs = (states @ reads[..., None])[..., 0]
    if skip is not None:
        outputs = outputs + skip.to(exact) * flow
    return outputs.transpose(1, 2).to(inputs.dtype)


def choose_rank(channels: int) -> int:
    """Give the width of the bottleneck that the steps come from, for a block of so many channels, as Mamba does."""
    return ceil(channels / _CHANNELS_A_RANK)


class SelectiveScan(nn.Module):
    """A selective scan whose steps, writes and reads are linear in its input, for `groups` sequences side by side.

    (N, G, L, C) -> (N, G, L, C). The steps come from a bottleneck of `rank` channels with a bias. Parameters of each
    group: C (rank + 2 S), C rank + C, C S, C.

    Source: Gu and Dao, Mamba, 2023, arXiv:2312.00752, algorithm 2; the initial values as in the authors' code.
    Differs: see `selective_scan`.
    """

    def __init__(self, channels: int, *, state: int, rank: int, groups: int = 1) -> None:
        super().__init__()
        self.state = state
        self.rank = rank
        self.select = nn.Parameter(torch.zeros(groups, rank + 2 * state, channels))
        self.widen = nn.Parameter(torch.zeros(groups, channels, rank))
        self.bias = nn.Parameter(torch.zeros(groups, channels))
        self.log_rates = nn.Parameter(torch.zeros(groups, channels, state))
        self.skip = nn.Parameter(torch.ones(groups, channels))

    def forward(self, sequences: Tensor) -> Tensor:
        """Scan (N, G, L, C) along L."""
        chosen = sequences @ self.select.transpose(1, 2)
        narrow, writes, reads = chosen.split_with_sizes((self.rank, self.state, self.state), dim=3)
        steps = functional.softplus(narrow @ self.widen.transpose(1, 2) + self.bias[:, None])
        return selective_scan(sequences, steps, -self.log_rates.exp(), writes, reads, self.skip)

    def draw(self, generator: torch.Generator) -> None:
        """Start with rates of 1 ... S, and with steps spread evenly in their logarithm."""
        channels = self.select.shape[2]
        self.select.uniform_(-(channels**-0.5), channels**-0.5, generator=generator)
        self.widen.uniform_(-(self.rank**-0.5), self.rank**-0.5, generator=generator)
        steps = self.bias.uniform_(log(_STEPS[0]), log(_STEPS[1]), generator=generator).exp()
        self.bias.copy_(steps.expm1().log())
        self.log_rates.copy_(torch.arange(1, self.state + 1).log().expand_as(self.log_rates))
        self.skip.fill_(1.0)
