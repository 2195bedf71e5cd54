"""Writes pil_resize.txt: images that Pillow resized, to which data/images/resize.cpp must be equal to the byte.

Run: python tests/golden/pil_resize.py (needs pillow and numpy). Source pixels come from the formula in `source`, which tests/data/images/resize_test.cpp repeats.
A line: source width, source height, crop x, y, width, height, target width, height, then the target's bytes in hexadecimal.
"""
import os

import numpy as np
from PIL import Image

CASES = [  # (source w, h), (crop x, y, w, h), (target w, h)
    ((8, 8), (0, 0, 8, 8), (8, 8)),
    ((16, 12), (0, 0, 16, 12), (5, 7)),
    ((5, 7), (0, 0, 5, 7), (16, 12)),
    ((64, 64), (3, 5, 40, 33), (24, 24)),
    ((64, 64), (3, 5, 17, 19), (24, 24)),
    ((97, 61), (0, 0, 97, 61), (31, 17)),
    ((97, 61), (90, 2, 7, 59), (33, 32)),
    ((100, 3), (1, 1, 98, 1), (7, 5)),
    ((1, 1), (0, 0, 1, 1), (4, 3)),
    ((1, 50), (0, 0, 1, 50), (3, 6)),
    ((50, 1), (0, 0, 50, 1), (6, 3)),
    ((40, 40), (0, 0, 40, 40), (1, 1)),
    ((40, 40), (7, 9, 20, 20), (20, 11)),
    ((40, 40), (7, 9, 20, 20), (11, 20)),
    ((640, 480), (101, 77, 333, 271), (20, 20)),
    ((500, 375), (0, 0, 500, 375), (45, 34)),
    ((33, 65), (16, 16, 1, 33), (9, 9)),
]


def source(width, height):
    """Value at (y, x, c): blocks, so that bicubic over- and undershoots are clipped, times a hash."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = (x * 7919 + y * 104729 + c * 1299709) % 251
    block = ((x // 3 + y // 5 + c) % 2) * 255
    return np.where((x + y) % 11 < 6, block, noise).astype(np.uint8)


FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pil_resize.txt"), "w") as out:
    for name, resample in FILTERS.items():
        for size, (x, y, w, h), target in CASES:
            image = Image.fromarray(source(*size)).crop((x, y, x + w, y + h))
            # Along x, then along y: what one call does in every Pillow up to 12; Pillow 13 swaps them when the height shrinks much more than the width.
            image = image.resize((target[0], h), resample).resize(target, resample)
            print(name, *size, x, y, w, h, *target, np.asarray(image).tobytes().hex(), file=out)
