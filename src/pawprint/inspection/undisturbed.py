"""A model is looked at, and afterwards it is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pawprint.seeding import preserve_rng
from pawprint.training.evaluate import eval_mode


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Inside, `model` is in eval mode; afterwards modes, buffers, gradients and random generators are as before.

    A forward pass in eval mode changes no buffer of torch's own modules; a stranger's may count its calls.
    """
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with preserve_rng(), eval_mode(model):
        try:
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    if not torch.equal(buffer, before):
                        buffer.copy_(before)
            for parameter, gradient in gradients:
                parameter.grad = gradient
