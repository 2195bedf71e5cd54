"""Writes coco_masks.txt: masks that pycocotools made of polygons, to which data/masks must be equal to the pixel.

Run: python tests/golden/coco_masks.py (needs pycocotools 2.0.11 and numpy). A line is one of
  mask    width height polygons [points x y x y ...] ... | string area x y width height
  pair    a b | IoU, IoU of a crowd b, string of the union, string of the intersection (a and b: numbers of lines above)
"""
import os

import numpy as np
from pycocotools import mask as coco

rng = np.random.default_rng(8)


def polygon(width, height, kind):
    n = int(rng.integers(3, 12))
    spread = {"in": (0.0, 1.0), "out": (-0.7, 1.7), "far": (-40.0, 40.0)}.get(kind, (0.0, 1.0))
    points = rng.uniform(*spread, (n, 2)) * (width, height)
    if kind == "half":  # corners on pixels' edges and middles
        points = np.round(points * 2) / 2
    if kind == "closed":  # the first corner again at the end, and others twice
        points = np.concatenate([np.repeat(points, 2, 0), points[:1]])
    if kind == "line":  # all corners on one line
        points = points[:1] + rng.uniform(-1, 1, (n, 1)) * (width, height)
    if kind == "point":
        points = np.repeat(points[:1], 3, 0)
    if kind == "box":
        x1, y1, x2, y2 = np.sort(points[:2], 0).ravel()
        points = np.array([[x1, y1], [x1, y2], [x2, y2], [x2, y1]])
    return [round(float(x), 2) for x in points.ravel()]


# Edges with a step at exactly one half: a fused product and sum would round it to another pixel of 100 x 100.
HALVES = [
    [-53.8, 131.2, 116.8, -51.4, -82.2, -58.0],
    [97.4, 39.8, 199.4, 146.0, 7.4, -19.0],
    [-84.0, 19.6, 102.6, -3.0, -67.6, 68.2],
    [-24.0, 123.8, 74.2, 63.4, -85.2, -84.4],
    [133.2, 7.0, 126.4, 6.6, -5.0, 66.2],
]
SIZES = [(1, 1), (1, 9), (9, 1), (5, 7), (16, 16), (40, 30), (97, 61), (320, 240), (60, 9000)]
KINDS = ["in", "out", "far", "half", "closed", "line", "point", "box"]


def show(width, height, polygons, mask):
    text = " ".join(f"{len(p) // 2} " + " ".join(map(repr, p)) for p in polygons)
    box = " ".join(str(int(x)) for x in coco.toBbox(mask))
    print("mask", width, height, len(polygons), text, "|", mask["counts"].decode(), int(coco.area(mask)), box, file=out)


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "coco_masks.txt"), "w") as out:
    line = 0
    for width, height in SIZES:
        first, masks = line, []
        for kind in KINDS:
            for parts in (1, 3):
                polygons = [polygon(width, height, kind) for _ in range(parts)]
                masks.append(coco.merge(coco.frPyObjects(polygons, height, width)))
                show(width, height, polygons, masks[-1])
                line += 1
        for a, b in [(0, 1), (2, 3), (5, 9), (14, 15), (1, 7), (15, 3), (13, 12)]:
            ious = [float(coco.iou([masks[a]], [masks[b]], [crowd])[0, 0]) for crowd in (0, 1)]
            merged = [coco.merge([masks[a], masks[b]], intersect=i)["counts"].decode() for i in (0, 1)]
            print("pair", first + a, first + b, "|", *map(repr, ious), *merged, file=out)
            line += 1
    for points in HALVES:
        show(100, 100, [points], coco.merge(coco.frPyObjects([points], 100, 100)))
