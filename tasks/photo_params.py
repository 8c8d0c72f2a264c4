"""What the tasks on photographs share: the choice of network, and ImageNet's normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.task import Backbone

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PhotoParams:
    """Parameters of every task on photographs.

    Attributes:
        backbone: ``resnet18``, the network of the literature, or ``efficientnet_lite0``, a smaller one whose ImageNet
            weights come as an installable package, for machines without network.
        weights: Where training starts: ``imagenet``, ``none`` (at random), or the path of a state dict.
    """

    backbone: Literal["resnet18", "efficientnet_lite0"] = "resnet18"
    weights: str = "imagenet"

    def network(self) -> Backbone:
        """The chosen network."""
        options = {} if self.weights == "none" else {"weights": self.weights}
        module = "resnet" if self.backbone == "resnet18" else "efficientnet"
        return Backbone(f"tasks.backbones.{module}:{self.backbone}", options, layout="channels_last")
