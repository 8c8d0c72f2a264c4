"""BFFHQ as its owners publish it: the label and the bias of a face are in the name of its file."""

from __future__ import annotations

from tasks.sources.folders import ManualSource

FOLDER = "bffhq"
TRAIN = "0.5pct"


class BffhqSource(ManualSource):
    """Biased FFHQ: 19,200 + 1,000 + 1,000 faces."""

    name = "bffhq"
    title = "BFFHQ"
    licence = "FFHQ: CC BY-NC-SA 4.0, images under licences of their own; no redistribution without attribution"
    citation = (
        "Kim, Lee and Choo: BiaSwap: removing dataset bias with bias-tailored swapping augmentation. ICCV 2021; images "
        "of Karras, Laine and Aila: A style-based generator architecture for generative adversarial networks. CVPR 2019"
    )
    url = "https://github.com/kakaoenterprise/Learning-Debiased-Disentangled"
    files = tuple(f"{FOLDER}/{name}" for name in (f"{TRAIN}/align", f"{TRAIN}/conflict", "valid", "test"))
    sizes = ((f"{FOLDER}/{TRAIN}", 19_200), (f"{FOLDER}/valid", 1_000), (f"{FOLDER}/test", 1_000))
    obtain = (
        "Download bffhq.zip through the link in the repository kakaoenterprise/Learning-Debiased-Disentangled and "
        "unpack it, so that bffhq/0.5pct/align, bffhq/0.5pct/conflict, bffhq/valid and bffhq/test lie under the data "
        "root."
    )
