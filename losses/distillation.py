"""Knowledge distillation: how far a student's predictions are from a teacher's.

Papers: Hinton et al., arXiv:1503.02531 (soft); Touvron et al., "DeiT", arXiv:2012.12877 (hard).
With m copies of the student's logits z, shape (m, B, C), the teacher's logits v, shape (B, C), and
a temperature T:

    soft = T^2 * mean over copies and samples of KL(softmax(v / T) || softmax(z_i / T))
    hard = mean over copies and samples of CE(z_i, argmax v)

KL differs from Hinton's cross-entropy by the entropy of the teacher, which has no gradient. Changed
from DeiT's code: the soft term is a sum over classes, as in the definition of KL. That code also
divides it by the number of classes.
"""

import paddle.nn.functional as F
from paddle import Tensor, nn

from losses.rdrop import cross_entropy, kl_divergence, log_softmax


def soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Returns `T^2 KL(teacher || student)` of both softened, `(m, B)`.

    Args:
        student: logits `(m, B, C)`.
        teacher: logits `(B, C)`.
        temperature: T, that softens both.
    """
    target, prediction = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return kl_divergence(target, prediction) * temperature**2


def hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Returns the cross-entropy with the teacher's first class, `(m, B)`; it has no temperature."""
    target = F.one_hot(teacher.argmax(axis=-1), teacher.shape[-1]).astype(student.dtype)
    return cross_entropy(log_softmax(student), target)


KINDS = {"soft": soft, "hard": hard}


class DistillationLoss(nn.Layer):
    """A pure function of the logits of student and teacher; no gradient reaches the teacher's.

    Args:
        kind: `soft` (default) or `hard`.
        temperature: of `soft`. The loss is multiplied by its square, so that the gradient keeps
            its size.

    Raises:
        ValueError: for an unknown kind, or a temperature out of range.
    """

    def __init__(self, kind: str = "soft", temperature: float = 3.0):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
        if not 1e-3 <= temperature <= 1e3:
            raise ValueError(f"temperature is {temperature}, expected 0.001 to 1000")
        self.kind, self.temperature = kind, temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Computes the loss in float64.

        Args:
            student: logits `(m, B, C)`, or `(B, C)` for a single pass.
            teacher: logits `(B, C)`, the same for all copies. Log-probabilities are also logits;
                probabilities are not.

        Returns:
            A scalar in nats, float32.

        Raises:
            ValueError: when the shapes do not match.
        """
        student = student.unsqueeze(0) if student.ndim == 2 else student
        if student.ndim != 3 or list(student.shape[1:]) != list(teacher.shape):
            raise ValueError(
                f"the student's logits have shape {list(student.shape)} "
                f"and the teacher's {list(teacher.shape)}, expected (m, B, C) and (B, C)"
            )
        student, teacher = student.astype("float64"), teacher.detach().astype("float64")
        return KINDS[self.kind](student, teacher, self.temperature).mean().astype("float32")
