"""Writes pil_augment.txt: pictures that timm's RandAugment changed through Pillow, to which data/images/augment.cpp must be equal to the byte.

Run: python tests/golden/pil_augment.py (needs timm 0.9.10, pillow and numpy). The pictures come from the formula in `picture`, which
tests/data/formula_image.h repeats. A line: width, height, 1 for the increasing operations, the number of operations and for each its name, magnitude,
+ or - and filter; then FNV-1a (64 bits) of the result's bytes in hexadecimal.
"""
import os
import random

import numpy as np
from PIL import Image, ImageOps
from timm.data import auto_augment

SIZES = [(1, 1), (2, 9), (7, 5), (31, 47), (64, 50)]
MAGNITUDES = [0.0, 2.3, 6.75, 9.4, 10.0]
SIGNED = ("Rotate", "Color", "Contrast", "Brightness", "Sharpness", "Shear", "Translate")
MOVING = ("Rotate", "Shear", "Translate")
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
FILL = (124, 116, 104)


def picture(width, height):
    """Blocks and a hash; at 64 pixels a faint slope, a faint pattern and a constant channel, for what looks at histograms."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = (x * 7919 + y * 104729 + c * 1299709) % 251
    block = ((x // 3 + y // 5 + c) % 2) * 255
    faint = np.where(c == 0, 40 + x + y // 2, np.where(c == 1, 90 + (x * x + 3 * y) % 60, 77))
    return np.where(width == 64, faint, np.where((x + y) % 11 < 6, block, noise)).astype(np.uint8)


class Recorded:
    """In the place of the module `random`: the draws of one operation."""

    def __init__(self):
        self.magnitude, self.negative, self.filter = 0.0, False, "bicubic"

    def gauss(self, mean, deviation):
        return self.magnitude

    def random(self):
        return 1.0 if self.negative else 0.0

    def choice(self, filters):
        assert FILTERS[self.filter] in filters
        return FILTERS[self.filter]


def posterize(image, bits, original=ImageOps.posterize):
    """Newer Pillows refuse the 0 bits of magnitude 10; older ones make it black."""
    return original(image, bits) if bits > 0 else image.point(lambda v: 0)


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def operations(increasing):
    policy = auto_augment.rand_augment_transform("rand-p1-mstd0.5" + ("-inc1" if increasing else ""), dict(img_mean=FILL))
    return {op.name: op for op in policy.ops}


def cases(increasing):
    """Lists of one operation each."""
    for name in operations(increasing):
        if not increasing and name in operations(True):
            continue  # the same in both
        signed = name.startswith(SIGNED) and (increasing or name.startswith(MOVING))
        for magnitude in MAGNITUDES:
            for negative in [False, True] if signed else [False]:
                for choice in FILTERS if name.startswith(MOVING) else ["bicubic"]:
                    yield [(name, magnitude, negative, choice)]


def policies():
    """Lists of two and three operations, as the policy would draw them."""
    draw = random.Random(9)
    names = list(operations(True))
    for i in range(60):
        yield [(draw.choice(names), round(min(max(draw.gauss(9, 0.5), 0), 10), 6), draw.random() > 0.5, draw.choice(list(FILTERS))) for _ in range(2 + i % 2)]


ImageOps.posterize = posterize

if __name__ == "__main__":
    auto_augment.random = recorded = Recorded()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pil_augment.txt"), "w") as out:
        for size in SIZES:
            for increasing, steps in [(1, s) for s in list(cases(True)) + list(policies())] + [(0, s) for s in cases(False)]:
                image = Image.fromarray(picture(*size))
                for name, recorded.magnitude, recorded.negative, recorded.filter in steps:
                    image = operations(increasing)[name](image)
                shown = [f"{name.replace('Increasing', '')} {m!r} {'-' if negative else '+'} {choice}" for name, m, negative, choice in steps]
                print(*size, increasing, len(steps), *shown, fnv(image.tobytes()), file=out)
