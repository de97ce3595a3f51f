"""Weights of another project's model in ours: equal logits then show that the layers are wired alike."""

import torch


def copy_in_order(source, target, seed=0):
    """Draw weights into `source`, and copy them into `target`, both on the CPU, tensor by tensor in their order.

    The order is that of `state_dict()`; scalars that count batches are left out. Shapes may differ by dimensions of 1.

    Raises:
        AssertionError: the numbers of tensors, or of elements of one, differ.
    """
    generator = torch.Generator().manual_seed(seed)
    ours = [(name, tensor) for name, tensor in target.state_dict().items() if not name.endswith("num_batches_tracked")]
    theirs = [(n, tensor) for n, tensor in source.state_dict().items() if not n.endswith("num_batches_tracked")]
    assert len(ours) == len(theirs), f"{len(theirs)} tensors cannot fill {len(ours)}"
    with torch.no_grad():
        for (name, tensor), (other, drawn) in zip(ours, theirs, strict=True):
            assert tensor.squeeze().shape == drawn.squeeze().shape, (
                f"{other} {tuple(drawn.shape)} does not fill {name} {tuple(tensor.shape)}"
            )
            if other.endswith("running_var"):
                drawn.uniform_(0.5, 2.0, generator=generator)
            elif drawn.dim() > 1:
                drawn.normal_(0.0, (2.0 / drawn[0].numel()) ** 0.5, generator=generator)
            elif other.endswith("weight"):
                drawn.uniform_(0.5, 1.5, generator=generator)
            else:
                drawn.normal_(0.0, 0.3, generator=generator)
            tensor.copy_(drawn.reshape(tensor.shape))
