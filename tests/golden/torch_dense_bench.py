#!/usr/bin/env python3
"""One training step and one inference of the official segmentation models and detectors in PyTorch, f32 on the CPU, beside bench-dense.

    torch_dense_bench.py --official DIR [--head semantic_fpn|mask_rcnn] [--mode train|infer] [--size 512 --batch 2 --threads 2]

DIR holds the folders segmentation and detect of github: qhfan/RMT. What they need make_dense_golden.py and make_dense_detection_golden.py say; NMS and
RoIAlign are torchvision's. Images are random, labels and objects those of examples/bench-dense.cpp.
"""
import argparse, os, resource, sys, time
import numpy as np, torch
import make_dense_golden as dense
import make_dense_detection_golden as detection

CASES = {'semantic_fpn': ('segmentation', 'RMT_FPN_t_1x', 150), 'mask_rcnn': ('detect', 'maskrcnn_t_1x', 80)}


def official(a):
    folder, config, classes = CASES[a.head]
    path, to_f32 = os.path.join(a.official, folder), torch.Tensor.float
    sys.path.insert(0, path)
    (dense if folder == 'segmentation' else detection).supply()
    model = (dense if folder == 'segmentation' else detection).build(path, config)
    torch.set_default_dtype(torch.float32)
    torch.Tensor.float = to_f32
    for module in model.modules():              # made in f64, and no buffers
        made = getattr(module, 'anchor_generator', None)
        if made: made.base_anchors = [x.float() for x in made.base_anchors]
    return model.float(), classes


def objects(a, classes, b):
    S, boxes, labels, masks = a.size, [], [], []
    place = np.arange(S) + .5
    for i in range(a.objects):
        w, h = S * (.1 + .05 * (i % 5)), S * (.3 - .03 * (i % 7))
        x, y = (S - w) * ((i * 7 + b * 3) % 11) / 10, (S - h) * ((i * 5 + b) % 9) / 8
        boxes.append([x, y, x + w, y + h])
        labels.append((i * 13 + b) % classes)
        masks.append((((place - x - w / 2) / (w / 2))[None] ** 2 + ((place - y - h / 2) / (h / 2))[:, None] ** 2 < 1).astype(np.uint8))
    return torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels), masks


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--head', choices=CASES, default='semantic_fpn')
    p.add_argument('--mode', choices=('train', 'infer'), default='train')
    for name, value in dict(size=512, batch=2, objects=8, iters=3, warmup=1, threads=2).items(): p.add_argument('--' + name, type=int, default=value)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    model, classes = official(a)
    S, B = a.size, a.batch if a.mode == 'train' else 1
    x = torch.randn(B, 3, S, S)
    meta = [dict(img_shape=(S, S, 3), ori_shape=(S, S, 3), pad_shape=(S, S, 3), scale_factor=np.ones(4, np.float32), flip=False, flip_direction=None)] * B
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    if a.head == 'semantic_fpn':
        i = torch.arange(S * S).reshape(S, S)
        target = (((i // S // 16 * 31 + i % S // 16 * 7) % classes).expand(B, 1, S, S),)
    else:
        from mmdet.core import BitmapMasks
        of = [objects(a, classes, b) for b in range(B)]
        target = ([o[0] for o in of], [o[1] for o in of], None, [BitmapMasks(o[2], S, S) for o in of])
    seconds = []
    for n in range(a.warmup + a.iters):
        began = time.time()
        if a.mode == 'train':
            model.train()
            parts = model.forward_train(x, meta, *target)
            loss = sum(detection.summed(v) for name, v in parts.items() if 'loss' in name)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            model.eval()
            with torch.no_grad():
                model.simple_test(x, meta) if a.head == 'semantic_fpn' else model.simple_test(x, meta, rescale=True)
        if n >= a.warmup: seconds.append(time.time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f'official rmt_t with {a.head} {a.mode}, batch {B}, {S} px, {a.threads} threads: median {sorted(seconds)[len(seconds) // 2]:.3f} s, peak memory {peak} MiB')


if __name__ == '__main__': main()
