"""What the rows are measured against: CIFAR-10 test top-1 in %. Plain data."""

from typing import NamedTuple


class Goal(NamedTuple):
    """The published figure of the PyTorch experiment that tfq began from, after 100 epochs, and the goals of the two recipes.

    None where there is none. In brackets: its figure with batch normalization in front of the convolutions.
    """

    pytorch: str | None = None
    short: float | None = None
    full: float | str | None = None


GOALS = {
    "resnet20/float": Goal("93.45", 91.0, 94.3),
    "resnet20/xnor": Goal("80.60", 84.0, 89.0),
    "resnet20/ternary": Goal("92.24", 91.5, 93.8),
    "resnet20/ternary_a1": Goal("81.92", None, 90.0),
    "resnet20/dorefa_a1w1": Goal("61.37", 85.5, 89.5),
    "resnet20/dorefa_a2w2": Goal("77.12", 89.3, 92.8),
    "resnet20/dorefa_a4w4": Goal("91.01", 90.3, 93.5),
    "resnet20/dorefa_a8w8": Goal("92.20", 90.5, 94.0),
    "resnet20/dorefa_a16w16": Goal("91.97", None, 93.6),
    "resnet20/dorefa_a1w2g6": Goal(full="g32 - 0.5"),
    "resnet20_272k/xnor": Goal(full=88.2),  # of AdaBin, arXiv:2208.08084
    "resnet20_272k/dorefa_a1w1": Goal(full=88.2),
    "resnet20_272k/dorefa_a2w2": Goal(full=91.4),  # of GDNSQ, arXiv:2508.14004
    "nin/float": Goal("92.48", None, 92.6),
    "nin/xnor": Goal("77.26 (81.22)", 74.0, 87.0),
    "nin/ternary": Goal("91.69", None, 92.0),
    "nin/ternary_a1": Goal("79.84", None, 87.0),
    "nin/dorefa_a1w1": Goal("67.04 (83.89)", None, 86.3),
    "nin/dorefa_a2w2": Goal("81.85", None, 89.5),
    "nin/dorefa_a4w4": Goal("90.29", None, 91.5),
    "nin/dorefa_a8w8": Goal("90.82", None, 92.0),
    "nin/dorefa_a16w16": Goal("91.05", None, 92.0),
}
