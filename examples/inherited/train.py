"""Trains `work` (or `repaired`) on one core, and writes its weights; the same bytes each time."""

import argparse
import importlib

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

EPOCHS = 16
BATCH_SIZE = 32


def train(model, optimizer, loader, epochs):
    """Cross-entropy; the learning rate rises to the optimizer's and falls again; every second picture is mirrored."""
    lr = optimizer.param_groups[0]["lr"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * len(loader))
    model.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for images, labels in loader:
            mirrored = torch.rand(len(images)) < 0.5
            images[mirrored] = images[mirrored].flip(3)
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(images)
        print(f"epoch {epoch}: loss {total / len(loader.dataset):.3f}")


@torch.inference_mode()
def accuracy(model, dataset):
    """Share of the pictures that are recognized."""
    model.eval()
    right = [(model(images).argmax(1) == labels).sum() for images, labels in DataLoader(dataset, 256)]
    return float(sum(right) / len(dataset))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="?", default="work", choices=["work", "repaired"])
    parser.add_argument("--lr", type=float, help="learning rate; default: get_optimizer's own")
    parser.add_argument("--head_lr", type=float, help="give the head a start: one epoch at this rate, before the rest")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)

    work = importlib.import_module(args.work)
    train_set, val_set, _ = work.get_dataset()
    loader = DataLoader(train_set, BATCH_SIZE, shuffle=True)
    model = work.get_model()
    if args.head_lr:
        head = [*model.fc1.parameters(), *model.fc2.parameters()]
        train(model, torch.optim.AdamW(head, args.head_lr), loader, epochs=1)
    optimizer = work.get_optimizer(model, args.lr) if args.lr else work.get_optimizer(model)
    train(model, optimizer, loader, EPOCHS)
    print(f"accuracy: val {accuracy(model, val_set):.3f}, test {accuracy(model, work.get_test_set()):.3f}")
    torch.save(model.state_dict(), work.WEIGHTS)


if __name__ == "__main__":
    main()
