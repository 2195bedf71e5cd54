# What torch.optim.SGD makes of seven numbers in six steps, in f64: the numbers in tests/train/sgd_test.cpp.
#   python tests/golden/torch_sgd.py
# prints a line for momentum 0.9, one for 0.9 with nesterov, one for 0. Written with PyTorch 2.15.
import torch


def run(momentum, nesterov):
    p = torch.nn.Parameter(torch.tensor([((37 * i) % 64 - 31) / 32 for i in range(7)], dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=1, momentum=momentum, nesterov=nesterov, weight_decay=.25)
    for t in range(1, 7):
        optimizer.param_groups[0]['lr'] = .5 / t
        p.grad = torch.tensor([((29 * i + 13 * t) % 64 - 31) / 16 for i in range(7)], dtype=torch.float64)
        optimizer.step()
    return p.tolist()


for arguments in (.9, False), (.9, True), (0, False):
    print(arguments, *(repr(x) + ',' for x in run(*arguments)))
