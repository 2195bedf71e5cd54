"""Writes seg_pipeline.txt: what the training pipeline of MMSegmentation makes of made-up photographs, to which data/segmentation/ must be equal to the byte.

Run: python tests/golden/seg_pipeline.py (needs opencv-python-headless and numpy, on x86-64 with AVX2). The pipeline is written down here once more, in numpy on OpenCV. Chances are the
numbers unit("NAME.0"), unit("NAME.1"), ... of a hash, which the test repeats; so are the pictures. Lines:
    sample NAME width height classes final_width final_height image resized-labels labels draws
        image, resized-labels, labels: hash() of the result's pixels (R, G, B), of the labels after the resize, and at the end; draws: how many chances were taken
    colours width saturation hue image      all colours with r = 0, 5, ... 255 in order, as a picture of that width, distorted
"""
import os

import cv2
import numpy as np

cv2.setNumThreads(1)
M64 = (1 << 64) - 1


def unit(name):
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001B3) & M64
    z = (h + 0x9E3779B97F4A7C15) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return ((z ^ (z >> 31)) >> 40) / (1 << 24)


def hash(a):
    """Sum of value * (index * 2654435761 mod 2^32) mod 2^32 over all elements in memory order."""
    total = 0
    flat = np.ascontiguousarray(a).ravel()
    for begin in range(0, flat.size, 1 << 20):
        part = flat[begin:begin + (1 << 20)].astype(np.uint64)
        index = np.arange(begin, begin + part.size, dtype=np.uint64) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
        total += int((part * index & np.uint64(0xFFFFFFFF)).sum())
    return total % (1 << 32)


class Draws:
    def __init__(self, name):
        self.name, self.taken = name, 0

    def unit(self):
        self.taken += 1
        return unit(f"{self.name}.{self.taken - 1}")

    def integer(self, low, high):
        return low + int(self.unit() * (high - low))

    def uniform(self, low, high):
        return low + self.unit() * (high - low)


def picture(width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = (x * 7919 + y * 104729 + c * 1299709) % 251
    slope = (x * (c + 1) + y * (3 - c)) % 256
    return np.where((x // 8 + y // 8) % 5 < 2, noise, slope).astype(np.uint8)


def label_picture(width, height, classes):
    """Stripes, most of them of class 0, and every 7th of 16 x 16 squares unlabelled."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    stripe = (x + y) // 12 % (4 * classes)
    label = np.where(stripe < classes, stripe, 0)
    return np.where((x // 16 + 3 * (y // 16)) % 7 == 0, 255, label).astype(np.uint8)


def cut(image, factor, offset):
    return np.clip(image.astype(np.float32) * np.float32(factor) + np.float32(offset), 0, 255).astype(np.uint8)


def saturated(image, factor):
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 1] = cut(hsv[..., 1], factor, 0)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def turned(image, by):
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + by) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def sample(name, width, height, classes):
    d, image, label = Draws(name), picture(width, height), label_picture(width, height, classes)
    ratio = d.uniform(0.5, 2)
    long_side, short_side = int(256 * ratio), int(96 * ratio)
    f = min(long_side / max(width, height), short_side / min(width, height))
    size = int(width * f + 0.5), int(height * f + 0.5)
    image, label = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    resized = hash(label)

    def crop():
        y = d.integer(0, max(label.shape[0] - 80, 0) + 1)
        x = d.integer(0, max(label.shape[1] - 80, 0) + 1)
        return slice(y, y + 80), slice(x, x + 80)

    where = crop()
    for _ in range(10):
        values, counts = np.unique(label[where], return_counts=True)
        counts = counts[values != 255]
        if len(counts) > 1 and counts.max() / counts.sum() < 0.75:
            break
        where = crop()
    image, label = image[where], label[where]
    if d.unit() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    image = np.ascontiguousarray(image)
    contrast = lambda image: cut(image, d.uniform(0.5, 1.5), 0) if d.integer(0, 2) else image
    if d.integer(0, 2):
        image = cut(image, 1, d.uniform(-32, 32))
    first = d.integer(0, 2)
    if first:
        image = contrast(image)
    if d.integer(0, 2):
        image = saturated(image, d.uniform(0.5, 1.5))
    if d.integer(0, 2):
        image = turned(image, d.integer(-18, 18))
    if not first:
        image = contrast(image)
    return f"sample {name} {width} {height} {classes} {image.shape[1]} {image.shape[0]} {hash(image)} {resized} {hash(label)} {d.taken}\n"


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "seg_pipeline.txt"), "w") as out:
    for i in range(40):
        name = f"made-up-{i}"
        out.write(sample(name, 60 + int(unit(name + ".w") * 240), 60 + int(unit(name + ".h") * 140), 1 + i % 5))
    v = np.arange(256, dtype=np.uint8)
    colours = np.stack(np.meshgrid(v[::5], v, v, indexing="ij"), -1)
    for width, factor, by in ((4096, 1.37, -18), (16, 0.53, 17)):
        out.write(f"colours {width} {factor} {by} {hash(turned(saturated(colours.reshape(-1, width, 3), factor), by))}\n")
