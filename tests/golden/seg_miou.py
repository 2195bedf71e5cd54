"""Writes seg_miou.json: mIoU and its parts for made-up maps, by numpy's histograms as MMSegmentation computes them. tests/train/segmentation/miou_test.cpp repeats the maps.

Run: python tests/golden/seg_miou.py (needs numpy). null: a class that occurs nowhere, which the means leave out.
"""
import json
import os

import numpy as np

K = 11
inter, predicted, labelled = np.zeros(K), np.zeros(K), np.zeros(K)
y, x = np.meshgrid(np.arange(23), np.arange(37), indexing="ij")
for image in range(5):
    v = (x // 4 + y // 3 + image * 5) % 9
    truth = np.where(v == 8, 255, np.where(v == 3, 2, v))
    v = ((x + image) // 5 + y // 3 + image * 5) % 9
    prediction = np.where(v == 8, 0, np.where(v == 6, 5, v))
    known = truth != 255
    truth, prediction = truth[known], prediction[known]
    histogram = lambda a: np.histogram(a, bins=K, range=(0, K - 1))[0]
    inter += histogram(prediction[prediction == truth])
    predicted += histogram(prediction)
    labelled += histogram(truth)
with np.errstate(invalid="ignore"):
    iou, acc = inter / (predicted + labelled - inter), inter / labelled
number = lambda a: None if np.isnan(a) else float(a)
result = {"aAcc": float(inter.sum() / labelled.sum()), "mAcc": float(np.nanmean(acc)), "mIoU": float(np.nanmean(iou)), "pixels": int(labelled.sum()),
          "acc": [number(a) for a in acc], "IoU": [number(a) for a in iou]}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "seg_miou.json"), "w") as out:
    json.dump(result, out, indent=1)
