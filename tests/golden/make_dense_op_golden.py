#!/usr/bin/env python3
"""Prints what torchvision makes of a few inputs of the ops of detection, in f64, and their gradients, to 13 decimals: the numbers that stand in tests/ops/{sigmoid_focal,
giou_loss,roi_align}_test.cpp, in the order of the tests there. Needs torch and torchvision.

    make_dense_op_golden.py
"""
import torch, torchvision
from torchvision.ops import generalized_box_iou_loss, roi_align, sigmoid_focal_loss

torch.set_default_dtype(torch.float64)


def show(name, *tensors):
    print(name)
    for t in tensors: print('  {' + ', '.join(f'{v:.13f}' for v in t.detach().reshape(-1).tolist()) + '}')


def focal():
    """Rows of class 1, of the background and of class 0; the sum divided by 2."""
    z = torch.tensor([[-4.5, .25, 3], [-1.5, 2.5, -.75], [6, -8, 0]], requires_grad=True)
    t = torch.tensor([[0., 1, 0], [0, 0, 0], [1, 0, 0]])
    y = sigmoid_focal_loss(z, t, alpha=.25, gamma=2, reduction='sum') / 2
    y.backward()
    show('sigmoid_focal', y, z.grad)


def giou():
    """Boxes that overlap, lie apart and contain each other; decoded as ops/giou_loss.h says, the last with a width at the clamp. The sum divided by 2."""
    boxes = torch.tensor([[10., 20, 50, 60], [0, 0, 8, 8], [30, 30, 90, 70], [5, 5, 6, 7]])
    targets = torch.tensor([[15., 18, 47, 70], [20, 30, 28, 41], [40, 35, 60, 60], [1, 2, 300, 9]])
    stds = torch.tensor([.1, .1, .2, .2])
    deltas = torch.tensor([[.5, -1, .25, 2], [1, 1, -1, .5], [.25, -.5, 0, .75], [.5, 1, 25, -1]], requires_grad=True)
    d, limit = deltas * stds, torch.log(torch.tensor(1000 / 16))
    size, middle = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    middle, size = middle + size * d[:, :2], size * d[:, 2:].clamp(-limit, limit).exp()
    decoded = torch.cat([middle - size / 2, middle + size / 2], 1)
    y = generalized_box_iou_loss(decoded, targets, reduction='sum', eps=0) / 2
    y.backward()
    show('giou_loss', y, deltas.grad)


def roi():
    """A map of 2 images, 9 x 12 cells at stride 8 and 2 channels; boxes inside of it, over its edge, of a few pixels, of no area, and large. Tiles of 3 x 3, of
    which each bin is shown as the sum over its channels weighted by 1 and -2, and of the gradient by the map, for dy = 1, 2, 3, ... over 7, the number at
    every seventh place in (B, H, W, C)."""
    B, H, W, C, P = 2, 9, 12, 2, 3
    x = torch.sin(torch.arange(B * H * W * C) * .7).reshape(B, H, W, C).clone().requires_grad_()
    rois = torch.tensor([[0., 10, 12, 60, 50], [1, -20, 30.5, 33.25, 90], [1, 40, 40, 43, 42], [0, 25, 30, 25, 60], [1, 3.5, 1.25, 95, 71]])
    y = roi_align(x.permute(0, 3, 1, 2), rois, (P, P), 1 / 8, 0, True).permute(0, 2, 3, 1)
    dy = torch.arange(1., y.numel() + 1).reshape(y.shape) / 7
    y.backward(dy)
    show('roi_align', y[..., 0] - 2 * y[..., 1], x.grad.reshape(-1)[::7])


if __name__ == '__main__':
    print('torch', torch.__version__, 'torchvision', torchvision.__version__)
    focal(), giou(), roi()
