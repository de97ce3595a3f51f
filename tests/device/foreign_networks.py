"""Networks of a user's own, by functions without arguments."""

import torch


class Stubborn(torch.nn.Module):
    """Looks at the values of its input to decide what to compute, which no exporter can write down."""

    def forward(self, images):
        return images * 2 if images.sum() > 0 else images


def stubborn():
    return Stubborn()


def dense():
    return torch.nn.Conv2d(3, 4, 3, padding=1)


class Several(torch.nn.Module):
    """Puts out a mapping whose first value counts; batch norm and dropout tell training from evaluation."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Dropout())
        self.head = torch.nn.Linear(6, 5)

    def forward(self, images):
        features = self.body(images)
        return {"out": self.head(features.mean((2, 3))), "features": features}


def several():
    return Several()
