"""Writes coco_eval.txt: made-up objects and detections, and what pycocotools says of them, to which train/detection/coco_eval must be equal.

Run: python tests/golden/coco_eval.py (needs pycocotools 2.0.11 and numpy). Lines:
  truth      image category area crowd  x y width height  width height of the mask, and its string
  detection  image category score       x y width height  the same
  boxes | masks   12 numbers, AP of each category (-1: none), sums of precision and of recall that are not -1, and the sum of
                  precision (T, R, K, A, M) where it is not -1, the entry of place i times i % 997
"""
import contextlib
import io
import os

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

rng = np.random.default_rng(10)
SIDE, CATEGORIES = 240, [1, 3, 4, 90]


def shape(box, kind):
    """A box as a polygon: itself, without its corners, or without a half."""
    x, y, w, h = box
    if kind == 0:
        return [x, y, x, y + h, x + w, y + h, x + w, y]
    if kind == 1:
        return [x + w / 4, y, x, y + h / 2, x + w / 4, y + h, x + 3 * w / 4, y + h, x + w, y + h / 2, x + 3 * w / 4, y]
    return [x, y, x, y + h, x + w, y + h]


def entry(box, kind):
    rle = masks.merge(masks.frPyObjects([shape(box, kind)], SIDE, SIDE))
    return [float(v) for v in box], rle


truths, detections = [], []
for image in range(1, 13):
    for category in CATEGORIES[:3]:  # of the last one there are none
        for _ in range(int(rng.integers(0, 4))):
            w, h = np.round(rng.choice([12, 20, 60, 80, 150]) * rng.uniform(0.5, 1.2, 2) * 4) / 4
            x, y = np.round(rng.uniform(0, SIDE - np.array([w, h]).clip(max=SIDE - 1)) * 4) / 4
            kind = int(rng.integers(3))
            box, rle = entry((x, y, w, h), kind)
            crowd = int(rng.random() < 0.15)
            truths.append((image, category, float(masks.area(rle)) + 0.25, crowd, box, rle))
            for _ in range(int(rng.integers(0, 5))):  # about the same object
                spread = rng.choice([0, 0.04, 0.15, 0.4])
                move = np.round(rng.normal(0, 1, 4) * spread * np.array([w, h, w, h]) * 4) / 4
                near = np.maximum(np.array([x, y, w, h]) + move, [0, 0, 2, 2])
                named = category if rng.random() < 0.9 else int(rng.choice(CATEGORIES))
                detections.append((image, named, round(float(rng.integers(1, 21)) / 20, 2), *entry(near, kind)))
# More than 100 of one kind in one image, and some in an image that shows nothing.
for image, n in [(5, 130), (13, 3)]:
    for _ in range(n):
        x, y, w, h = np.round(rng.uniform([0, 0, 10, 10], [200, 200, 80, 80]))
        detections.append((image, 3, round(float(rng.integers(1, 101)) / 100, 2), *entry((x, y, w, h), 0)))
# A part of an object, so that the IoU is a threshold but for roundings: a fused product and sum would decide otherwise.
for image in range(20, 36):
    x, y = np.round(rng.uniform(0, 100, 2), 2)
    w, h = np.round(rng.uniform(10, 120, 2), 2)
    box, rle = entry((x, y, w, h), 0)
    truths.append((image, 4, float(masks.area(rle)) + 0.25, 0, box, rle))
    detections.append((image, 4, 0.5, *entry((x, y, w * int(rng.integers(10, 20)) / 20, h), 0)))
order = rng.permutation(len(detections))
detections = [detections[i] for i in order]

coco = COCO()
coco.dataset = {
    "images": [{"id": i, "width": SIDE, "height": SIDE} for i in range(1, 36)],
    "categories": [{"id": c, "name": str(c)} for c in CATEGORIES],
    "annotations": [{"id": i + 1, "image_id": im, "category_id": c, "area": a, "iscrowd": crowd, "bbox": box, "segmentation": rle}
                    for i, (im, c, a, crowd, box, rle) in enumerate(truths)],
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "coco_eval.txt"), "w") as out, contextlib.redirect_stdout(io.StringIO()):
    coco.createIndex()
    for im, c, area, crowd, box, rle in truths:
        print("truth", im, c, area, crowd, *box, SIDE, SIDE, rle["counts"].decode(), file=out)
    for im, c, score, box, rle in detections:
        print("detection", im, c, score, *box, SIDE, SIDE, rle["counts"].decode(), file=out)
    for kind, name in [("bbox", "boxes"), ("segm", "masks")]:
        results = [{"image_id": im, "category_id": c, "score": score, **({"bbox": box} if kind == "bbox" else {"segmentation": rle})}
                   for im, c, score, box, rle in detections]
        e = COCOeval(coco, coco.loadRes(results), kind)
        e.evaluate()
        e.accumulate()
        e.summarize()
        p, r = e.eval["precision"], e.eval["recall"]
        of_class = [p[:, :, k, 0, 2] for k in range(len(CATEGORIES))]
        aps = [float(x[x > -1].mean()) if (x > -1).any() else -1 for x in of_class]
        places = np.arange(p.size).reshape(p.shape) % 997
        sums = [float(p[p > -1].sum()), float(r[r > -1].sum()), float((p * places)[p > -1].sum())]
        print(name, *map(float, e.stats), *aps, *sums, file=out)
