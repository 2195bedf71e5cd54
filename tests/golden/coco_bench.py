#!/usr/bin/env python3
"""pycocotools on the set that bench-coco --write has made: seconds of evaluate, accumulate and summarize, and the 12 numbers.

    build/bin/bench-coco [--masks] --write DIR && python tests/golden/coco_bench.py DIR [segm]
"""
import contextlib
import io
import sys
import time

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

folder, kind = sys.argv[1], (sys.argv[2:] or ["bbox"])[0]
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(f"{folder}/truth.json")
    e = COCOeval(truth, truth.loadRes(f"{folder}/results.json"), kind)
    start = time.perf_counter()
    e.evaluate()
    e.accumulate()
    e.summarize()
    seconds = time.perf_counter() - start
print(f"{seconds:.3f} s")
for name, value in zip("AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl".split(), e.stats):
    print(f"{name:5} {value:.15f}")
