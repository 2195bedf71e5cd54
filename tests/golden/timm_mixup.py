"""Writes timm_mixup.txt: what timm's Mixup (batch mode) makes of small batches, with the numbers that it drew, for data/images/mixup.cpp and ops/mix_images.cpp.

Run: python tests/golden/timm_mixup.py (needs timm 0.9.10, torch and numpy). The pictures and labels come from the formulas in `batch`, which
tests/ops/mix_images_test.cpp repeats. All numbers are written without loss. Lines:
    box H W lambda y x -> top bottom left right corrected-lambda
    mix B H W K smoothing cutmix lambda y x -> lambda of the targets; then `targets` and (B, min(K, 32)) numbers; then `pixels` and every 13th number of (B, H, W, 3)
"""
import os

import numpy as np
import torch
from timm.data import mixup


def batch(B, H, W, K):
    b, h, w, c = np.meshgrid(np.arange(B), np.arange(H), np.arange(W), np.arange(3), indexing="ij")
    x = ((b * 7919 + h * 104729 + w * 1299709 + c * 15485863) % 2003 - 1000).astype(np.float32) / 512
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.tensor([(7 * i * i + 3) % K for i in range(B)])


class Recorder:
    """Keeps the last number that a function of numpy.random gave in a kind of call."""

    def __init__(self):
        self.lam, self.centre = 1.0, []
        self.beta, self.randint = np.random.beta, np.random.randint

    def __enter__(self):
        np.random.beta, np.random.randint = self.on_beta, self.on_randint
        return self

    def __exit__(self, *_):
        np.random.beta, np.random.randint = self.beta, self.randint

    def on_beta(self, *args, **kwargs):
        self.lam = float(self.beta(*args, **kwargs))
        return self.lam

    def on_randint(self, *args, **kwargs):
        self.centre.append(int(self.randint(*args, **kwargs)))
        return self.centre[-1]


def boxes(lines):
    for H, W in [(1, 1), (7, 5), (32, 32), (224, 224), (160, 192)]:
        for lam in [0.0, 1e-9, 0.05, 0.3, 0.5, 0.75, 0.97, 1 - 1e-9] + list(np.random.beta(1, 1, size=4)):
            with Recorder() as r:
                (top, bottom, left, right), corrected = mixup.cutmix_bbox_and_lam((2, 3, H, W), float(lam))
            y, x = r.centre
            lines.append(f"box {H} {W} {float(lam).hex()} {y} {x} {top} {bottom} {left} {right} {float(corrected).hex()}")


def mixes(lines):
    for B, H, W, K, smoothing in [(2, 5, 4, 3, 0.1), (6, 7, 5, 10, 0.1), (4, 16, 16, 1000, 0.1), (8, 9, 13, 5, 0.0)]:
        for cutmix in (0, 1):
            for _ in range(3 if K < 1000 else 1):
                x, labels = batch(B, H, W, K)
                mix = mixup.Mixup(0.0 if cutmix else 0.8, 1.0 if cutmix else 0.0, label_smoothing=smoothing, num_classes=K)
                with Recorder() as r:
                    lam = []
                    inner = mix._mix_batch
                    mix._mix_batch = lambda z: lam.append(inner(z)) or lam[0]
                    x, targets = mix(x, labels)
                y, cx = r.centre or (0, 0)
                lines.append(f"mix {B} {H} {W} {K} {float(smoothing).hex()} {cutmix} {r.lam.hex()} {y} {cx} {float(lam[0]).hex()}")
                rows = targets[:, :32]
                lines.append("targets " + " ".join("%.9g" % v for v in rows.flatten()))
                lines.append("pixels " + " ".join("%.9g" % v for v in x.permute(0, 2, 3, 1).flatten()[::13]))


np.random.seed(1)
lines = []
boxes(lines)
mixes(lines)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "timm_mixup.txt"), "w") as out:
    out.write("\n".join(lines) + "\n")
