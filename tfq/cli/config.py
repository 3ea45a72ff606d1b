"""What the training program is told: the flags of train.py that it reads, and their defaults. Imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run. Each is a flag of train.py of the same name, which says what it is, but for the last three.

    Args:
        network: arguments of the function that makes the network, beside `model`, `method` and what the data say.
        shape: those of them that the float network of the same shape takes too.
        count_relu: whether ReLUs of the network are among the operations that are counted.
    """

    model: str = "resnet20"
    method: str = "xnor"

    dataset: str = "cifar10"
    data_dir: str | None = None
    image_size: str | None = None
    stream: bool = False
    labels: str | None = None
    crop: bool = True
    flip: bool | None = None
    holdout: int = 0
    limit_train: int | None = None

    epochs: int = 100
    batch_size: int = 128
    eval_batch_size: int | None = None
    optimizer: str = "adam"
    lr: float = 0.005
    schedule: str = "onecycle"
    milestones: tuple[int, ...] = (50, 75)
    weight_decay: float = 0.0
    init_from: str | None = None
    init_skip: tuple[str, ...] = ()
    teacher: str | None = None
    temperature: float = 4.0
    teacher_weight: float = 0.9
    seed: int = 0
    deterministic: bool = False
    bfloat16: bool = False
    diagnose: bool = False
    stop_on_collapse: bool = True
    steps_per_execution: int = 1
    distribute: str = "none"
    lr_batch: int | None = None
    synchronized_bn: bool = False

    evaluate: bool = False
    export: tuple[str, ...] = ()

    network: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, Any] = field(default_factory=dict)
    count_relu: bool = False
