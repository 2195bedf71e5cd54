"""Writes cv_resize.txt: images that OpenCV resized, to which data/images/resize_fixed.cpp must be equal to the byte.

Run: python tests/golden/cv_resize.py (needs opencv-python-headless and numpy; 5.0 and 4.x agree). Source pixels come from the formula in `source`, which
the test repeats. A line: "linear" or "nearest", channels, source width and height, target width and height, then the sum over the target's bytes of
(i + 1) * byte mod 2^32 (i counts in memory order) and the first 24 bytes in hexadecimal. "nearest" resizes the first channel. Cases beyond the list are drawn.
"""
import os

import cv2
import numpy as np

cv2.setNumThreads(1)
CASES = [  # (source w, h), (target w, h)
    ((8, 8), (8, 8)), ((16, 12), (5, 7)), ((5, 7), (16, 12)), ((97, 61), (31, 17)), ((61, 97), (33, 32)), ((100, 3), (7, 5)), ((1, 1), (4, 3)), ((1, 50), (3, 6)),
    ((50, 1), (6, 3)), ((40, 40), (1, 1)), ((40, 40), (20, 20)), ((41, 43), (20, 21)), ((21, 20), (42, 40)), ((133, 171), (533, 685)), ((640, 480), (45, 34)),
    ((341, 256), (683, 512)), ((500, 375), (683, 512)), ((500, 375), (341, 256)), ((2, 3), (64, 65)), ((255, 64), (256, 63)), ((480, 360), (683, 512)),
]
random = np.random.default_rng(7)
CASES += [((int(a), int(b)), (int(c), int(d))) for a, b, c, d in random.integers(1, 160, (200, 4))]


def source(width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(4), indexing="ij")
    noise = (x * 7919 + y * 104729 + c * 1299709) % 251
    block = ((x // 3 + y // 5 + c) % 2) * 255
    return np.where((x + y) % 11 < 6, block, noise).astype(np.uint8)


def line(name, channels, size, target, out):
    flat = out.ravel().astype(np.uint64)
    total = int((flat * np.arange(1, flat.size + 1, dtype=np.uint64)).sum() % (1 << 32))
    return f"{name} {channels} {size[0]} {size[1]} {target[0]} {target[1]} {total} {out.tobytes()[:24].hex()}\n"


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cv_resize.txt"), "w") as out:
    for size, target in CASES:
        image = source(*size)
        for channels in (1, 3, 4):
            part = np.ascontiguousarray(image[..., :channels])
            out.write(line("linear", channels, size, target, cv2.resize(part, target, interpolation=cv2.INTER_LINEAR)))
        out.write(line("nearest", 1, size, target, cv2.resize(np.ascontiguousarray(image[..., 0]), target, interpolation=cv2.INTER_NEAREST)))
