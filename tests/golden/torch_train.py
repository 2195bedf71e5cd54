#!/usr/bin/env python3
"""Trains the official code's rmt_n in PyTorch on a folder of images with the plain recipe, so that our trainer has a curve to meet.

    torch_train.py --official DIR --data FOLDER [--epochs 10 ... --out log.jsonl]

FOLDER/train and FOLDER/val hold one folder a class. Train: RandomResizedCrop (bicubic, antialiased), horizontal flip; eval: resize of the shorter side
to img-size / crop-pct (bicubic), centre crop; both: ImageNet mean and std. AdamW, decay where ndim > 1; a schedule a step (linear warm-up, then the
cosine of the whole run); cross entropy with label smoothing in training, plain in evaluation. One JSON line an epoch, in the official log's field names.
"""
import argparse, json, math, random, time, warnings
import torch, torchvision
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
import official

BICUBIC = torchvision.transforms.InterpolationMode.BICUBIC
MEAN, STD = (.485, .456, .406), (.229, .224, .225)


class InMemory(Dataset):
    """Every image decoded once, kept as a PIL image."""
    def __init__(self, folder, transform, limit=0):
        files = torchvision.datasets.ImageFolder(folder)
        samples = files.samples[::max(1, len(files) // limit)] if limit else files.samples
        self.images = [(files.loader(path), label) for path, label in samples]
        self.transform, self.classes = transform, files.classes

    def __len__(self): return len(self.images)

    def __getitem__(self, i):
        image, label = self.images[i]
        return self.transform(image), label


def transforms(a):
    finish = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    train = [v2.RandomResizedCrop(a.img_size, scale=tuple(a.scale), ratio=(3 / 4, 4 / 3), interpolation=BICUBIC, antialias=True), v2.RandomHorizontalFlip()]
    test = [v2.Resize(int(a.img_size / a.crop_pct), interpolation=BICUBIC, antialias=True), v2.CenterCrop(a.img_size)]
    return v2.Compose(train + finish), v2.Compose(test + finish)


def learning_rate(a, step, total, warmup):
    if step < warmup: return a.warmup_lr + step * (a.lr - a.warmup_lr) / warmup
    return a.min_lr + .5 * (a.lr - a.min_lr) * (1 + math.cos(math.pi * step / total))


@torch.no_grad()
def evaluate(model, loader):
    """mean loss and top-1, top-5 in percent, over samples"""
    model.eval()
    loss = top1 = top5 = count = 0
    for x, label in loader:
        y = model(x)
        loss += torch.nn.functional.cross_entropy(y, label, reduction='sum').item()
        hit = y.topk(min(5, y.shape[1])).indices == label[:, None]
        top1, top5, count = top1 + hit[:, 0].sum().item(), top5 + hit.sum().item(), count + len(label)
    return {'test_loss': loss / count, 'test_acc1': 100 * top1 / count, 'test_acc5': 100 * top5 / count}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--data', required=True, metavar='FOLDER')
    p.add_argument('--out', metavar='FILE', help='also append the lines here')
    p.add_argument('--epochs', type=int, default=10)
    p.add_argument('--batch-size', type=int, default=128)
    p.add_argument('--lr', type=float, default=2e-3)
    p.add_argument('--warmup-epochs', type=float, default=1)
    p.add_argument('--warmup-lr', type=float, default=1e-6)
    p.add_argument('--min-lr', type=float, default=1e-5)
    p.add_argument('--weight-decay', type=float, default=.05)
    p.add_argument('--smoothing', type=float, default=.1)
    p.add_argument('--drop-path', type=float, default=0.)
    p.add_argument('--img-size', type=int, default=64)
    p.add_argument('--crop-pct', type=float, default=.875)
    p.add_argument('--scale', type=float, nargs=2, default=(.08, 1.))
    p.add_argument('--num-classes', type=int, help='default: the number of class folders')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--workers', type=int, default=1)
    p.add_argument('--limit', type=int, default=0, help='use about this many images of each split (a smoke test)')
    return p.parse_args()


def main():
    a = arguments()
    warnings.filterwarnings('ignore', message='.*meshgrid')
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    random.seed(a.seed)
    official.load(a.official)

    train_set, test_set = (InMemory(f'{a.data}/{split}', t, a.limit) for split, t in zip(('train', 'val'), transforms(a)))
    if train_set.classes != test_set.classes: raise SystemExit('train and val hold different class folders')
    train = DataLoader(train_set, a.batch_size, shuffle=True, drop_last=True, num_workers=a.workers, persistent_workers=a.workers > 0)
    test = DataLoader(test_set, a.batch_size, num_workers=a.workers, persistent_workers=a.workers > 0)

    model = official.build('rmt_n', num_classes=a.num_classes or len(train_set.classes), drop_path=a.drop_path)
    groups = [{'params': [p for p in model.parameters() if (p.ndim > 1) == decayed], 'weight_decay': a.weight_decay if decayed else 0.} for decayed in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=a.lr, betas=(.9, .999), eps=1e-8)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=a.smoothing)
    total, warmup = a.epochs * len(train), a.warmup_epochs * len(train)
    parameters = sum(p.numel() for p in model.parameters())

    step = 0
    for epoch in range(a.epochs):
        start, losses, rates = time.time(), 0., 0.
        model.train()
        for x, label in train:
            lr = learning_rate(a, step, total, warmup)
            for group in optimizer.param_groups: group['lr'] = lr
            loss = loss_of(model(x), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses, rates, step = losses + loss.item(), rates + lr, step + 1
        line = {'epoch': epoch, 'n_parameters': parameters, 'train_loss': losses / len(train), 'train_lr': rates / len(train),
                **evaluate(model, test), 'seconds': round(time.time() - start, 2)}
        print(json.dumps(line), flush=True)
        if a.out:
            with open(a.out, 'a') as f: f.write(json.dumps(line) + '\n')


if __name__ == '__main__':
    main()
