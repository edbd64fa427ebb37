"""Learning rates as a function of the epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Step decay with one rate per parameter group.

    Attributes:
        lr_head: rate of the linear classification head (paper: 1e-3).
        lr_projection: rate of the two contrastive heads (paper: 1e-6).
        lr_backbone: rate of the backbone (paper: 1e-6).
        milestones: epochs at which every rate is multiplied by ``decay`` (paper: 20 and 25 of 30).
        decay: factor at a milestone (paper: 0.1).
        weight_decay: L2 penalty of Adam (not stated in the paper; 0).
    """

    lr_head: float = 1e-3
    lr_projection: float = 1e-6
    lr_backbone: float = 1e-6
    milestones: tuple[int, ...] = (20, 25)
    decay: float = 0.1
    weight_decay: float = 0.0

    def factor(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch`` (counted from 0)."""
        return self.decay ** sum(epoch >= milestone for milestone in self.milestones)

    def rates(self, epoch: int = 0) -> dict[str, float]:
        """Rate of each parameter group in ``epoch``."""
        factor = self.factor(epoch)
        return {
            "head": self.lr_head * factor,
            "projection": self.lr_projection * factor,
            "backbone": self.lr_backbone * factor,
        }


@dataclass(frozen=True)
class PolySchedule:
    """Polynomial annealing from ``lr`` to 0, step by step.

    Attributes:
        lr: first rate (paper: 0.01).
        momentum: of SGD (not stated in the paper; 0.9).
        power: exponent (not stated in the paper; 0.9, as DeepLab introduced the policy).
        weight_decay: L2 penalty of SGD (not stated in the paper; 5e-4).
    """

    lr: float = 0.01
    momentum: float = 0.9
    power: float = 0.9
    weight_decay: float = 5e-4

    def rate(self, done: float) -> float:
        """The rate where ``done``, a share from 0 to 1, of the steps are done."""
        return self.lr * (1.0 - min(max(done, 0.0), 1.0)) ** self.power
