#!/usr/bin/env python3
"""Trains the official code's Semantic FPN on rmt_n in PyTorch on a folder of images and label images, so that our trainer has figures to meet.

    torch_segment.py --official DIR --data FOLDER [--initial FILE.safetensors] [--epochs 20 ... --out log.jsonl]

DIR is the folder segmentation of github: qhfan/RMT, whose needs make_dense_golden.py names; FOLDER has images/{training,validation}/*.jpg and
annotations/{training,validation}/*.png, 0 unlabelled and class k stored as k + 1. The model, the loss and the steps of the pipeline (resize by a random
ratio, crop, mirror, photometric distortion) are the official code's; AdamW, decay where ndim > 1, a rate that falls as (1 - t / T)^0.9. One JSON line an
epoch, in the field names of our log.
"""
import argparse, json, os, random, sys, time
import cv2, numpy as np, torch
import make_dense_golden

SIZES = dict(embed_dims=[32, 64, 128, 256], depths=[1, 1, 4, 1], num_heads=[2, 2, 4, 8], mlp_ratios=[3, 3, 3, 3], drop_path_rate=0.)
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def safetensors(path):
    """f32 and i64 tensors by name: a length, a table in JSON, numbers."""
    with open(path, 'rb') as file:
        table = json.loads(file.read(int.from_bytes(file.read(8), 'little')))
        numbers = file.read()
    table.pop('__metadata__', None)
    kinds = {'F32': np.float32, 'I64': np.int64}
    return {name: torch.from_numpy(np.frombuffer(numbers[slice(*t['data_offsets'])], kinds[t['dtype']]).reshape(t['shape']).copy()) for name, t in table.items()}


def model_of(a, classes):
    from mmcv import Config
    settings = Config.fromfile(os.path.join(a.official, 'configs', 'RMT', 'RMT_FPN_t_1x.py')).model
    settings.pretrained = None
    settings.backbone.update(SIZES)
    settings.neck.update(in_channels=SIZES['embed_dims'], out_channels=a.channels)
    settings.decode_head.update(in_channels=[a.channels] * 4, channels=a.channels // 2, num_classes=classes)
    from mmseg.models import build_segmentor
    model = build_segmentor(settings)
    if a.initial:
        weights = {k: v for k, v in safetensors(a.initial).items() if not k.startswith('optimizer.')}
        missing = model.backbone.load_state_dict(weights, strict=False).missing_keys
        assert all(k.startswith('extra_norms') for k in missing), missing
    return model


def pairs(folder, split):
    images, labels = f'{folder}/images/{split}', f'{folder}/annotations/{split}'
    out = []
    for name in sorted(os.listdir(images)):
        label = cv2.imread(f'{labels}/{os.path.splitext(name)[0]}.png', cv2.IMREAD_GRAYSCALE)
        out.append((cv2.imread(f'{images}/{name}'), (label - 1).astype(np.uint8)))      # 0 becomes 255
    return out


def sample(steps, image, label):
    r = dict(img=image.copy(), gt_semantic_seg=label.copy(), seg_fields=['gt_semantic_seg'], img_shape=image.shape)
    for step in steps: r = step(r)
    return torch.from_numpy(r['img'].transpose(2, 0, 1).copy()), torch.from_numpy(r['gt_semantic_seg'].astype(np.int64))[None]


@torch.no_grad()
def evaluate(model, data, steps, classes):
    model.eval()
    counts = np.zeros((classes, classes), np.int64)
    for image, label in data:
        r = dict(img=image, img_shape=image.shape, seg_fields=[])
        for step in steps: r = step(r)
        x = torch.from_numpy(r['img'].transpose(2, 0, 1).copy())[None]
        meta = [dict(img_shape=(*x.shape[2:], 3), ori_shape=(*label.shape, 3), pad_shape=(*x.shape[2:], 3), scale_factor=1., flip=False)]
        predicted = model.inference(x, meta, True).argmax(1)[0].numpy()
        known = label != 255
        counts += np.bincount(label[known].astype(np.int64) * classes + predicted[known], minlength=classes ** 2).reshape(classes, classes)
    right, truth, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        return {'test_mIoU': 100 * np.nanmean(right / (truth + said - right)), 'test_mAcc': 100 * np.nanmean(right / truth), 'test_aAcc': 100 * right.sum() / truth.sum()}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--data', required=True, metavar='FOLDER')
    p.add_argument('--initial', metavar='FILE')
    p.add_argument('--out', metavar='FILE')
    p.add_argument('--epochs', type=int, default=20)
    p.add_argument('--batch-size', type=int, default=8)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--weight-decay', type=float, default=.05)
    p.add_argument('--long-side', type=int, default=480)
    p.add_argument('--short-side', type=int, default=160)
    p.add_argument('--crop-size', type=int, default=160)
    p.add_argument('--channels', type=int, default=64)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--test-every', type=int, default=1, help='epochs between two tests')
    return p.parse_args()


def main():
    a = arguments()
    sys.path.insert(0, a.official)
    make_dense_golden.supply()
    from mmseg.datasets.pipelines import transforms as T
    torch.set_num_threads(a.threads)
    for seed in (torch.manual_seed, np.random.seed, random.seed): seed(a.seed)
    train, val = pairs(a.data, 'training'), pairs(a.data, 'validation')
    classes = len(open(f'{a.data}/classes.txt').read().split())
    scale, finish = (a.long_side, a.short_side), [T.Normalize(MEAN, STD, True)]
    steps = [T.Resize(img_scale=scale, ratio_range=(.5, 2.)), T.RandomCrop(crop_size=(a.crop_size,) * 2, cat_max_ratio=.75), T.RandomFlip(prob=.5),
             T.PhotoMetricDistortion(), *finish, T.Pad(size=(a.crop_size,) * 2, pad_val=0, seg_pad_val=255)]
    test_steps = [T.Resize(img_scale=scale, keep_ratio=True), *finish]
    model = model_of(a, classes)
    groups = [{'params': [p for p in model.parameters() if (p.ndim > 1) == decays], 'weight_decay': a.weight_decay * decays} for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=a.lr)
    steps_an_epoch = len(train) // a.batch_size
    total, step = a.epochs * steps_an_epoch, 0
    for epoch in range(a.epochs):
        model.train()
        order, losses, began = np.random.permutation(len(train)), [], time.time()
        for b in range(steps_an_epoch):
            for g in optimizer.param_groups: g['lr'] = (a.lr - 1e-6) * (1 - step / total) ** .9 + 1e-6
            batch = [sample(steps, *train[i]) for i in order[b * a.batch_size:(b + 1) * a.batch_size]]
            x, y = (torch.stack([s[k] for s in batch]) for k in (0, 1))
            meta = [dict(img_shape=(*x.shape[2:], 3), ori_shape=(*x.shape[2:], 3), pad_shape=(*x.shape[2:], 3), scale_factor=1., flip=False)] * len(batch)
            loss = model.forward_train(x, meta, y)['decode.loss_seg']
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        row = {'epoch': epoch, 'train_loss': float(np.mean(losses)), 'seconds': time.time() - began, 'measure': 'mIoU'}
        if (epoch + 1) % a.test_every and epoch + 1 < a.epochs: continue
        row.update(evaluate(model, val, test_steps, classes))
        print(json.dumps(row), flush=True)
        if a.out: open(a.out, 'a').write(json.dumps(row) + '\n')


if __name__ == '__main__': main()
