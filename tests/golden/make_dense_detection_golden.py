#!/usr/bin/env python3
"""Writes the golden files of detection: what the official RMT under RetinaNet, Mask R-CNN and Cascade Mask R-CNN computes in f64.

    make_dense_detection_golden.py --official DIR [--only TEXT] [--out FOLDER] [--threads 2]

DIR is the folder detect of github: qhfan/RMT (mmdetection 2.11). Needs what make_dense_golden.py needs, torchvision (its NMS and RoIAlign stand for
mmcv's compiled ones) and pycocotools. Weights, images and probes are those of make_dense_golden.py, but that a few layers are louder or more certain, so
that thresholds and suppression have work to do: GAIN and SHIFT below. A stage of the cascade learns from 64 boxes of an image, not 512, which are three minutes
in f64. Where boxes are to be drawn by chance, k of n are those of index floor(i n / k).

dense_<case>_train.json: two images of 160 x 224, of which the first shows 150 x 200 pixels and is 0 beyond.
    shapes, boxes, labels       of the images and of the objects in them
    masks       of two-stage detectors: the objects' masks over 160 x 224, row by row, as lengths of runs of 0, 1, 0, ...
    losses, total, taps, grads  as of segmentation; losses of levels are summed
    sampled     of each stage the norm and projection of its boxes (R, 5), under "sampled.<stage>", and their labels
    mask_targets                likewise (P, 28, 28), under "mask_targets.<stage>", and how many are 1
    counts      of RetinaNet: anchors with an object, and anchors that are not learned from
dense_<case>_eval.json: an image of 120 x 181 in 128 x 192 that came from 75 x 113.
    detections  class by class, the best first: class, box and score; with masks their area after pasting, and COCO's run lengths as a string
    score_threshold, mask_threshold     the latter lies in the middle of the values that occur, so that masks are neither empty nor full
dense_detector_names.json: of each of the thirteen configurations the number of parameters and entries, and the hash of its list.
"""
import argparse, json, os, sys, types
import numpy as np, torch
import make_dense_golden as dense

CASES = {'retinanet_t': 'retinanet_t_1x', 'maskrcnn_t': 'maskrcnn_t_1x', 'cascade_s': 'casrcnn_s_3x'}
CONFIGS = [f'retinanet_{s}_1x' for s in 'tsml'] + [f'maskrcnn_{s}_1x' for s in 'tsml'] + [f'maskrcnn_{s}_3x' for s in 'sml'] + [f'casrcnn_{s}_3x' for s in 'sm']
GAIN = {'rpn_head.rpn_reg.weight': .25, 'bbox_head.retina_reg.weight': 4., 'bbox_head.retina_cls.weight': 16.}
for stage in ('', '.0', '.1', '.2'):
    GAIN |= {f'roi_head.bbox_head{stage}.fc_cls.weight': 8., f'roi_head.bbox_head{stage}.fc_reg.weight': .5, f'roi_head.mask_head{stage}.conv_logits.weight': 10.}
SHIFT = {'bbox_head.retina_cls.bias': -3.}
CASCADE_SAMPLES = 64
PAD, SHAPES = (160, 224), [(150, 200), (160, 224)]
# Of each image: class and polygons (x, y, x, y, ...) of each object.
OBJECTS = [[(17, [[20.3, 14.9, 96.2, 22.7, 88.4, 81.6, 51.7, 60.2, 25.1, 77.3]]),
            (56, [[110.4, 30.1, 140.9, 28.3, 143.2, 70.7, 112.6, 74.4], [147.3, 33.8, 165.1, 36.2, 160.7, 79.9, 149.8, 77.1]]),
            (0, [[60.8, 88.3, 131.7, 92.9, 171.4, 139.6, 44.2, 145.2]]),
            (62, [[171.1, 10.6, 195.3, 9.2, 197.9, 127.8, 183.6, 131.4]])],
           [(2, [[9.7, 11.2, 120.6, 6.9, 150.3, 61.8, 97.4, 118.3, 12.8, 101.1]]),
            (17, [[141.8, 70.3, 218.7, 66.4, 213.2, 152.9, 160.4, 149.6, 139.3, 120.2]]),
            (77, [[60.4, 109.7, 118.2, 104.3, 123.9, 154.8, 57.6, 157.2]])]]


# --- what stands for mmcv's compiled ops ---
def nms(boxes, scores, iou_threshold, **unused):
    import torchvision
    kept = torchvision.ops.nms(boxes.double(), scores.double(), iou_threshold)
    return torch.cat([boxes[kept], scores[kept, None]], 1), kept


def batched_nms(boxes, scores, groups, options, class_agnostic=False):
    """Boxes of different groups are moved so far apart that they do not meet."""
    apart = boxes + groups.to(boxes)[:, None] * (boxes.max() + 1)
    _, kept = nms(apart, scores, options['iou_threshold'])
    return torch.cat([boxes[kept], scores[kept, None]], 1), kept


class RoIAlign(torch.nn.Module):
    def __init__(self, output_size, spatial_scale=1., sampling_ratio=0, **unused):
        super().__init__()
        self.output_size = output_size if isinstance(output_size, tuple) else (output_size,) * 2
        self.options = spatial_scale, sampling_ratio

    def forward(self, x, rois):
        import torchvision
        return torchvision.ops.roi_align(x, rois, self.output_size, *self.options, True)


def roi_align(x, rois, size, scale=1., ratio=0, mode='avg', aligned=True):
    return RoIAlign(size, scale, ratio)(x, rois)


def supply():
    dense.supply()
    ops = sys.modules['mmcv.ops']
    for name, value in dict(nms=nms, batched_nms=batched_nms, RoIAlign=RoIAlign, roi_align=roi_align).items(): setattr(ops, name, value)
    for name, names in {'nms': ('nms', 'batched_nms'), 'roi_align': ('roi_align', 'RoIAlign'), 'carafe': ('CARAFEPack',),
                        'merge_cells': ('ConcatCell', 'GlobalPoolingCell', 'SumCell', 'BaseMergeCell')}.items():
        part = types.ModuleType('mmcv.ops.' + name)
        for n in names: setattr(part, n, getattr(ops, n))
        sys.modules[part.__name__] = part
    for name in [n for n in sys.modules if n.startswith('mmseg.models.backbones.')]: sys.modules['mmdet' + name[5:]] = sys.modules[name]
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = lambda self, *unused, **also: self.double()       # targets are cast to f32 here and there


def build(official, config):
    import mmdet.models
    sys.modules.setdefault('mmseg', types.ModuleType('mmseg'))
    def build_detector(settings):
        if config.startswith('casrcnn'):
            for stage in settings.train_cfg.rcnn: stage.sampler.num = CASCADE_SAMPLES
        return mmdet.models.build_detector(settings)

    sys.modules['mmseg.models'] = types.SimpleNamespace(build_segmentor=build_detector)
    model = dense.build(official, config)
    from mmdet.core.bbox.samplers.random_sampler import RandomSampler
    RandomSampler.random_choice = lambda self, among, count: among[torch.arange(count) * len(among) // count]
    return model


def value(name, x, ranges):
    v = dense.value(name, x, ranges)
    return v * GAIN.get(name, 1.) + SHIFT.get(name, 0.)


@torch.no_grad()
def fill(model, ranges):
    for name, x in model.state_dict().items(): x.copy_(torch.from_numpy(np.asarray(value(name, x, ranges))).reshape(x.shape))


def images(shapes, pad):
    x = dense.images(len(shapes), *pad)
    for image, (h, w) in zip(x, shapes): image[:, h:], image[:, :, w:] = 0, 0
    return x


def objects():
    import pycocotools.mask as coco
    from mmdet.core import BitmapMasks
    boxes, labels, masks = [], [], []
    for of_image, (h, w) in zip(OBJECTS, SHAPES):
        corners, bits = [], []
        for _, polygons in of_image:
            points = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
            corners.append([*points.min(0), *points.max(0)])
            bits.append(np.pad(coco.decode(coco.merge(coco.frPyObjects(polygons, h, w))), ((0, PAD[0] - h), (0, PAD[1] - w))))
        boxes.append(torch.tensor(np.array(corners)))
        labels.append(torch.tensor([label for label, _ in of_image]))
        masks.append(BitmapMasks(bits, *PAD))
    return boxes, labels, masks


def runs(mask):
    """Lengths, zeros first."""
    flat = np.concatenate([[0], mask.flatten(), [2]])
    ends = np.flatnonzero(np.diff(flat.astype(np.int64)))
    return np.diff(np.concatenate([[0], ends])).tolist()


def stages(model):
    """The box and mask heads; a cascade has three of each."""
    roi = getattr(model, 'roi_head', None)
    if roi is None: return [], []
    return [list(h) if isinstance(h, torch.nn.ModuleList) else [h] for h in (roi.bbox_head, roi.mask_head)]


def taps_of(model):
    parts = ['bbox_roi_extractor', 'bbox_head', 'mask_roi_extractor', 'mask_head']
    count = len(stages(model)[0])
    return ['backbone', 'neck', 'bbox_head', 'rpn_head'] + [f'roi_head.{p}' if count == 1 else f'roi_head.{p}.{i}' for p in parts for i in range(count)]


def summed(v):
    return sum(t.mean() for t in v) if isinstance(v, (list, tuple)) else v.mean()


def watch(model, sampled, targets, counts):
    """Keeps what the heads are given to learn from."""
    boxes, masks = stages(model)
    for head in boxes:
        def loss(scores, deltas, rois, labels, *rest, loss_of=head.loss, **also):
            norm, projection = dense.probe(f'sampled.{len(sampled)}', rois)
            sampled.append({'rois': {'shape': list(rois.shape), 'norm': norm, 'probe': projection}, 'labels': labels.tolist()})
            return loss_of(scores, deltas, rois, labels, *rest, **also)
        head.loss = loss
    for head in masks:
        def get_targets(*given, of=head.get_targets):
            t = of(*given)
            norm, projection = dense.probe(f'mask_targets.{len(targets)}', t)
            targets.append({'shape': list(t.shape), 'norm': norm, 'probe': projection, 'ones': int(t.sum())})
            return t
        head.get_targets = get_targets
    if not boxes:
        def get_targets(*given, of=model.bbox_head.get_targets, **also):
            t = of(*given, **also)
            counts.update(positives=int(t[4]), unsure=int(sum((weights == 0).sum() for weights in t[1])))
            return t
        model.bbox_head.get_targets = get_targets


def train(model):
    boxes, labels, masks = objects()
    model.train()
    x = images(SHAPES, PAD).requires_grad_()
    meta = [dict(img_shape=(*s, 3), ori_shape=(*s, 3), pad_shape=(*PAD, 3), scale_factor=np.ones(4), flip=False) for s in SHAPES]
    sampled, targets, counts = [], [], {}
    watch(model, sampled, targets, counts)
    dense.TAPS = taps_of(model)
    two_stages = bool(stages(model)[0])
    with dense.tapped(model) as taps: parts = model.forward_train(x, meta, boxes, labels, None, *([masks] if two_stages else []))
    total = sum(summed(v) for name, v in parts.items() if 'loss' in name)
    total.backward()
    gradients = {name: dense.probe(name, p.grad) for name, p in model.named_parameters() if p.grad is not None}
    found = {'sampled': sampled, 'mask_targets': targets, 'masks': [[runs(m) for m in of_image.masks] for of_image in masks]} if two_stages else {'counts': counts}
    return {'input': list(x.shape), 'shapes': SHAPES, 'boxes': [b.tolist() for b in boxes], 'labels': [n.tolist() for n in labels],
            'losses': {name: float(summed(v)) for name, v in parts.items()}, 'total': float(total), 'taps': taps, **found,
            'grads': {**gradients, 'input': dense.probe('input', x.grad)}}


def with_middle_threshold(head, seen):
    """Masks are cut in the middle of the values that occur, of the detections' own classes."""
    def get_seg_masks(predicted, boxes, labels, options, *rest, of=head.get_seg_masks):
        p = predicted.sigmoid() if isinstance(predicted, torch.Tensor) else torch.as_tensor(predicted)
        options['mask_thr_binary'] = round(float(p[torch.arange(len(p)), labels].median()), 4)
        seen.append(options['mask_thr_binary'])
        return of(predicted, boxes, labels, options, *rest)
    head.get_seg_masks = get_seg_masks


@torch.no_grad()
def evaluate(model):
    import pycocotools.mask as coco
    shape, pad, original = (120, 181), (128, 192), (75, 113)
    model.eval()
    boxes, masks = stages(model)
    if len(boxes) == 3: model.roi_head.test_cfg.score_thr = .02        # the mean of three heads is flat
    thresholds = []
    if masks: with_middle_threshold(masks[-1], thresholds)
    scale = np.array([shape[1] / original[1], shape[0] / original[0]] * 2)
    meta = [dict(img_shape=(*shape, 3), ori_shape=(*original, 3), pad_shape=(*pad, 3), scale_factor=scale, flip=False, flip_direction=None)]
    dense.TAPS = taps_of(model)
    f32, torch.float32 = torch.float32, torch.float64                  # pasting asks for f32 by its name
    with dense.tapped(model) as taps: found = model.simple_test(images([shape], pad), meta, rescale=True)[0]
    torch.float32 = f32
    by_class, pasted = found if masks else (found, None)
    detections = []
    for label, rows in enumerate(by_class):
        for i, row in enumerate(rows):
            detections.append({'class': label, 'box': row[:4].tolist(), 'score': float(row[4])})
            if not masks: continue
            bits = np.asfortranarray(np.asarray(pasted[label][i], dtype=np.uint8))
            detections[-1] |= {'area': int(bits.sum()), 'runs': coco.encode(bits)['counts'].decode()}
    threshold = (model.roi_head if boxes else model).test_cfg.score_thr
    return {'input': [1, 3, *pad], 'shape': shape, 'original': original, 'score_threshold': threshold, 'mask_threshold': thresholds[0] if thresholds else None,
            'taps': taps, 'detections': detections}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--only', default='', metavar='TEXT')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    sys.path.insert(0, a.official)
    supply()

    def write(name, content, **layout):
        with open(os.path.join(a.out, name + '.json'), 'w') as file: json.dump(content, file, **layout)
        print(name, {key: content[key] for key in ('losses', 'counts', 'mask_threshold') if key in content}, flush=True)

    for case, config in CASES.items():
        for mode, work in {'train': train, 'eval': evaluate}.items():
            if a.only not in f'dense_{case}_{mode}': continue
            model = build(a.official, config)
            fill(model, dense.DECAY_RANGES[config.split('_')[1]])
            write(f'dense_{case}_{mode}', work(model), separators=(',', ':'))
    if a.only in 'dense_detector_names':
        write('dense_detector_names', {config: dense.names(build(a.official, config), False) for config in CONFIGS}, indent=1)


if __name__ == '__main__':
    main()
