"""The published detection pipelines on made-up images, step by step, with numpy and OpenCV:
  python tests/golden/coco_pipeline.py > tests/golden/coco_pipeline.json
Needs numpy and opencv-python-headless. Random numbers are those of tests/data/detection/counted_draws.h."""
import json
import cv2
import numpy as np

LONG, SHORT = 213, 160
M64 = (1 << 64) - 1


def unit(key):
    """The first number in [0, 1) of a key: FNV-1a, one step of SplitMix64, 24 bits."""
    z = 0xCBF29CE484222325
    for c in key.encode():
        z = ((z ^ c) * 0x100000001B3) & M64
    z = (z + 0x9E3779B97F4A7C15) & M64
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & M64
    return ((z ^ z >> 31) >> 40) / (1 << 24)


class Draws:
    def __init__(self, key):
        self.key, self.log = key, []

    def coin(self):
        v = unit(f"{self.key}.{len(self.log)}")
        self.log.append(["rand", v])
        return v < 0.5

    def integer(self, low, high):
        v = low + int(unit(f"{self.key}.{len(self.log)}") * (high - low))
        self.log.append(["randint", low, high, v])
        return v


def digest(a):
    """Sum of value * (index * 2654435761 mod 2^32), mod 2^32."""
    v = np.ascontiguousarray(a).astype(np.uint64).ravel()
    k = np.arange(v.size, dtype=np.uint64) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
    return int((v * k & np.uint64(0xFFFFFFFF)).sum() & np.uint64(0xFFFFFFFF))


def picture(width, height, variant):
    """test_image() of tests/data/folder_maker.h, blue first."""
    y, x = np.mgrid[:height, :width]
    planes = [p % 512 for p in ((x + y) * 3 + 90, y * 7 + variant * 11, x * 5 + variant * 37)]
    return np.stack([np.where(p < 256, p, 511 - p) for p in planes], -1).astype(np.uint8)


class Scene:
    def __init__(self, n, width, height):
        self.image = picture(width, height, n)
        y, x = np.mgrid[:height, :width]
        boxes, masks = [], []
        for i in range(1 + n % 4):
            # An ellipse in a box of hundredths of pixels, which may reach beyond the image.
            x0, y0 = (i * 37 + n * 13) % width, (i * 53 + n * 7) % height
            w, h = 5 + (i * 29 + n * 11) % (width // 2), 5 + (i * 17 + n * 19) % (height // 2)
            boxes.append([x0 + 0.25, y0 + 0.13, x0 + 0.25 + (w + 0.37), y0 + 0.13 + (h + 0.58)])
            masks.append(((2 * x - 2 * x0 - w) * h) ** 2 + ((2 * y - 2 * y0 - h) * w) ** 2 <= (w * h) ** 2)
        self.boxes = np.array(boxes, np.float32)
        self.labels = np.arange(len(boxes)) * 3
        self.masks = np.stack(masks).astype(np.uint8)
        self.crowds = self.boxes[:1] * np.float32(0.5)

    def state(self):
        return {"shape": list(self.image.shape[:2]), "image": digest(self.image),
                "boxes": self.boxes.astype(float).tolist(), "labels": self.labels.tolist(),
                "mask_pixels": [int(m.sum()) for m in self.masks], "masks": digest(self.masks),
                "ignored": self.crowds.astype(float).tolist()}

    def move_boxes(self, f):
        self.boxes, self.crowds = f(self.boxes), f(self.crowds)

    def clipped(self, b):
        h, w = self.image.shape[:2]
        return np.stack([np.clip(b[:, 0], 0, w), np.clip(b[:, 1], 0, h), np.clip(b[:, 2], 0, w),
                         np.clip(b[:, 3], 0, h)], 1).astype(np.float32)

    def resize(self, short):
        h, w = self.image.shape[:2]
        f = min(LONG / max(h, w), short / min(h, w))
        size = int(w * f + 0.5), int(h * f + 0.5)
        factors = np.array([size[0] / w, size[1] / h] * 2, np.float32)
        self.image = cv2.resize(self.image, size, interpolation=cv2.INTER_LINEAR)
        self.masks = np.array([cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in self.masks],
                              np.uint8).reshape(-1, size[1], size[0])
        self.move_boxes(lambda b: self.clipped(b * factors))

    def mirror(self):
        self.image, self.masks = self.image[:, ::-1], self.masks[:, :, ::-1]
        w = self.image.shape[1]
        self.move_boxes(lambda b: np.stack([w - b[:, 2], b[:, 1], w - b[:, 0], b[:, 3]], 1))

    def crop(self, x, y, w, h):
        self.image, self.masks = self.image[y:y + h, x:x + w], self.masks[:, y:y + h, x:x + w]
        offset = np.array([x, y, x, y], np.float32)
        self.move_boxes(lambda b: self.clipped(b - offset))
        some = lambda b: (b[:, 2] > b[:, 0]) & (b[:, 3] > b[:, 1])
        keep = some(self.boxes)
        self.labels, self.masks = self.labels[keep], self.masks[keep]
        self.move_boxes(lambda b: b[some(b)])


def scaled(n):
    return (n * SHORT + 400) // 800


rows = []
for n in range(16):
    scene, d = Scene(n, 61 + 7 * n, 97 - 3 * n), Draws(f"made.{n}")
    row = {"recipe": "1x" if n % 2 else "3x", "loaded": scene.state()}
    if n % 2:
        scene.resize(SHORT)
        row["resized"] = scene.state()
        row["flip"] = d.coin()
        if row["flip"]:
            scene.mirror()
    else:
        row["flip"] = d.coin()
        if row["flip"]:
            scene.mirror()
        row["flipped"] = scene.state()
        if d.integer(0, 2) == 1:
            scene.resize([scaled(s) for s in (400, 500, 600)][d.integer(0, 3)])
            h, w = scene.image.shape[:2]
            ch = d.integer(min(h, scaled(384)), min(h, scaled(600)) + 1)
            cw = d.integer(min(w, scaled(384)), min(w, scaled(600)) + 1)
            y = d.integer(0, h - ch + 1)
            x = d.integer(0, w - cw + 1)
            scene.crop(x, y, cw, ch)
            row["cropped"] = scene.state()
        scene.resize([scaled(s) for s in range(480, 801, 32)][d.integer(0, 11)])
    row["final"] = scene.state()
    row["draws"] = d.log
    rows.append(row)
print("[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]")
