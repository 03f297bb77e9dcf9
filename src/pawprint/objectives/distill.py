"""Learning from a larger model's answers beside the labels: distillation (Hinton, Vinyals and Dean, arXiv 1503.02531).

With z the student's logits, v the teacher's, T the temperature and lambda the weight of what the teacher says:

    loss = (1 - lambda) l_s + lambda T^2 KL(softmax(v / T) || softmax(z / T))

l_s is the loss on the labels. T^2 keeps the gradient of the second term as large as it is at T = 1 (section 2). Both
see the same batch, shifted and mirrored alike, the teacher in eval mode.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from pawprint.data.batches import Batch
from pawprint.objectives.supervised import labelled_loss
from pawprint.types import Data, LossTerms, RunSpec


def distill(spec: RunSpec, data: Data, teacher: nn.Module) -> Callable[[nn.Module, Batch], LossTerms]:
    """The loss above; `teacher` is put into eval mode, and not differentiated."""
    loss_of = labelled_loss(spec, data)
    teacher.eval()

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        with torch.no_grad():
            answers = teacher(batch.images)  # v, (B, K)
        logits = model(batch.images)  # z, (B, K)
        l_s, divergence = loss_of(logits, batch), softened_divergence(logits, answers, spec.distill_temperature)
        agreement = (logits.detach().argmax(dim=1) == answers.argmax(dim=1)).float().mean()
        return LossTerms(
            total=(1 - spec.distill_weight) * l_s + spec.distill_weight * divergence,
            parts={"labelled_loss": l_s.detach(), "distillation_loss": divergence.detach(), "agreement": agreement},
        )

    return objective


def softened_divergence(logits: torch.Tensor, answers: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 KL(softmax(answers / T) || softmax(logits / T)), nats, () with graph: the mean over (B, K)'s pictures."""
    of_student = functional.log_softmax(logits / temperature, dim=1)
    of_teacher = functional.log_softmax(answers / temperature, dim=1)
    return temperature**2 * functional.kl_div(of_student, of_teacher, reduction="batchmean", log_target=True)
