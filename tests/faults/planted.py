"""Faults as they come in real projects: what a person appended to, or forgot in, a work that was sound.

Each is Python that is appended to a copy of healthy.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault, and the test that should catch it."""

    name: str
    caught_by: str
    reason: str  # part of the reading that says why
    source: str
    model: str = "cnn"
    also: tuple[str, ...] = ()  # tests that this fault cannot but fail or stop as well


def _leak(name: str, kind: str, change: str, source: str = "test", target: str = "train") -> Fault:
    """`change` is of `copies`, 16 of the source's pictures, (16, 32, 32, 3) uint8."""
    return Fault(
        name,
        "leakage",
        kind,
        f"""
import io
from PIL import Image

_sound = get_dataset

def get_dataset():
    parts = dict(zip(PER_CLASS, _sound(), strict=True))
    source, target = parts["{source}"], parts["{target}"]
    copies, labels = source.images[::7][:16], source.labels[::7][:16]
    {change}
    target.images = np.concatenate([target.images, np.asarray(copies)])
    target.labels = np.concatenate([target.labels, labels])
    return tuple(parts.values())

def resized(image, side, box=None):
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC, box))

def recompressed(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))
""",
    )


def _test_fed(name: str, reason: str, normalized: str, also: tuple[str, ...] = ()) -> Fault:
    """`normalized` is what the test set gives of `pixels` (3, 32, 32) in [0, 1], `mean` and `std` (3, 1, 1)."""
    return Fault(
        name,
        "normalization",
        reason,
        also=also,
        source=f"""
class Fed(Pets):
    def __getitem__(self, index):
        pixels = torch.from_numpy(self.images[index]).permute(2, 0, 1) / 255
        mean, std = (torch.from_numpy(values)[:, None, None] for values in (self.mean, self.std))
        return {normalized}, int(self.labels[index])

def get_test_set():
    return Fed(*pixels("test"), *statistics())
""",
    )


def _model(change: str) -> str:
    return f"""
_sound = get_model

def get_model():
    model = _sound()
    {change}
    return model
"""


def _wrapped(forward: str) -> str:
    """`forward` is made of the sound network's logits, `x`."""
    return f"""
class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        x = self.net(images)
        return {forward}

def get_model():
    return Wrapped(network())
"""


def _trained(change: str) -> str:
    return f"""
_sound_trained = get_trained_model

def get_trained_model():
    model = _sound_trained()
    with torch.no_grad():
        {change}
    return model
"""


FAULTS: tuple[Fault, ...] = (
    _leak("test pictures in train", "identical", "pass"),
    _leak("recompressed test pictures in train", "alike", "copies = [recompressed(c) for c in copies]"),
    _leak("resized copies", "alike", "copies = [resized(resized(c, 26), 32) for c in copies]"),
    _leak("mirrored copies", "mirrored", "copies = copies[:, :, ::-1]"),
    _leak("cropped copies", "cropped", "copies = [resized(c, 32, (1, 1, 31, 31)) for c in copies]"),
    _leak("brightened copies", "alike", "copies = (copies * 1.2).clip(0, 255).astype(np.uint8)"),
    _leak("copies in grey", "alike", "copies = copies.mean(axis=3, keepdims=True).repeat(3, axis=3).astype(np.uint8)"),
    _leak(
        "copies with a border", "cropped", "copies = [np.pad(resized(c, 28), ((2, 2), (2, 2), (0, 0))) for c in copies]"
    ),
    _leak("validation pictures in train", "val", "pass", source="val"),
    _leak("validation and test share pictures", "val", "pass", source="test", target="val"),
    Fault(
        "the head of another data set",
        "output_shape",
        "1000",
        _model("model.fc2 = nn.Linear(32, 1000)"),
    ),
    Fault("a head one too wide", "output_shape", "one", _model("model.fc2 = nn.Linear(32, N_CLASSES + 1)")),
    Fault(
        "a head one too narrow",
        "output_shape",
        "3",
        _model("model.fc2 = nn.Linear(32, N_CLASSES - 1)"),
        also=("parameter_update", "learning_rate", "initial_loss", "overfit_one_batch"),
    ),
    Fault(
        "labels that start at 1",
        "output_shape",
        "start at 1",
        """
_pixels = pixels

def pixels(part):
    images, labels = _pixels(part)
    return images, labels + 1

def network():
    return ConvNet(N_CLASSES + 1)

def get_trained_model():
    model, sound = network(), ConvNet(N_CLASSES)
    sound.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    state = sound.state_dict()
    state["fc2.weight"] = torch.cat([torch.zeros(1, 32), state["fc2.weight"]])
    state["fc2.bias"] = torch.cat([torch.full((1,), -20.0), state["fc2.bias"]])
    model.load_state_dict(state)
    return model
""",
    ),
    Fault(
        "softmax before cross-entropy",
        "output_shape",
        "softmax",
        _wrapped("x.softmax(dim=1)"),
        also=("overfit_one_batch",),
    ),
    Fault(
        "sigmoid before cross-entropy", "output_shape", "sigmoid", _wrapped("x.sigmoid()"), also=("overfit_one_batch",)
    ),
    Fault("ReLU after the head", "output_shape", "ReLU", _wrapped("F.relu(x)"), also=("overfit_one_batch",)),
    Fault("a batch of one squeezed away", "output_shape", "1 ", _wrapped("x.squeeze()")),
    Fault(
        "batch statistics in eval mode",
        "output_shape",
        "others in its batch",
        _model("model.norm3 = nn.BatchNorm2d(32, track_running_stats=False)"),
    ),
    Fault("normalized over the batch", "output_shape", "others in its batch", _wrapped("x - x.mean(dim=0)")),
    Fault("dropout in eval mode", "output_shape", "random", _wrapped("F.dropout(x, 0.3)")),
    Fault(
        "an optimizer over another model",
        "parameter_update",
        "not in the optimizer",
        """
def get_optimizer(model):
    return torch.optim.Adam(network().parameters(), LR)
""",
    ),
    Fault(
        "an optimizer made before the head was replaced",
        "parameter_update",
        "not in the optimizer",
        """
def get_optimizer(model):
    optimizer = torch.optim.Adam([p for n, p in model.named_parameters() if not n.startswith("fc2")], LR)
    return optimizer
""",
    ),
    Fault("a layer that is never called", "parameter_update", "never used", _model("model.fc3 = nn.Linear(32, 32)")),
    Fault(
        "features under no_grad",
        "parameter_update",
        "no gradient",
        """
class ConvNet(ConvNet):
    def features(self, x):
        with torch.no_grad():
            return super().features(x)
""",
    ),
    Fault(
        "a layer detached",
        "parameter_update",
        "no gradient",
        """
class ConvNet(ConvNet):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.features(x))).detach())
""",
        also=("overfit_one_batch",),
    ),
    Fault("frozen at random values", "parameter_update", "random", _model("model.conv2.requires_grad_(False)")),
    Fault(
        "a rate of zero for the features",
        "parameter_update",
        "rate",
        """
def get_optimizer(model):
    head = [*model.fc1.parameters(), *model.fc2.parameters()]
    rest = [p for n, p in model.named_parameters() if not n.startswith("fc")]
    return torch.optim.Adam([{"params": head}, {"params": rest, "lr": 0.0}], LR)
""",
        also=("learning_rate",),
    ),
    Fault(
        "running statistics that stand still",
        "parameter_update",
        "running",
        _model("model.norm1.momentum = model.norm2.momentum = 0.0"),
    ),
    Fault(
        "a layer dead from the start",
        "parameter_update",
        "gradient is 0",
        _model("nn.init.constant_(model.fc1.bias, -50.0)"),
        also=("output_shape", "overfit_one_batch"),
    ),
    Fault(
        "AdamW at 1e-6",
        "learning_rate",
        "too small",
        "def get_optimizer(model):\n    return torch.optim.AdamW(model.parameters(), 1e-6)\n",
    ),
    Fault(
        "Adam at 0.5",
        "learning_rate",
        "too large",
        "def get_optimizer(model):\n    return torch.optim.Adam(model.parameters(), 0.5)\n",
    ),
    Fault(
        "SGD at 1e-5",
        "learning_rate",
        "too small",
        "def get_optimizer(model):\n    return torch.optim.SGD(model.parameters(), 1e-5)\n",
    ),
    Fault(
        "SGD at 10",
        "learning_rate",
        "too large",
        "def get_optimizer(model):\n    return torch.optim.SGD(model.parameters(), 10)\n",
    ),
    Fault(
        "weights drawn far too large",
        "initial_loss",
        "",
        _model("[nn.init.normal_(m.weight) for m in model.modules() if isinstance(m, nn.Linear)]"),
        model="mlp",
    ),
    Fault("a head that starts biased", "initial_loss", "", _model("nn.init.normal_(model.fc2.bias, std=20.0)")),
    Fault(
        "a loss that is summed",
        "initial_loss",
        "sum",
        "def get_loss():\n    return nn.CrossEntropyLoss(reduction='sum')\n",
    ),
    Fault(
        "labels shuffled against pictures",
        "overfit_one_batch",
        "",
        """
def get_loss():
    return lambda outputs, labels: F.cross_entropy(outputs, labels[torch.randperm(len(labels))])
""",
    ),
    Fault(
        "all but a few features dropped",
        "overfit_one_batch",
        "",
        """
class ConvNet(ConvNet):
    def features(self, x):
        return F.dropout(super().features(x), 0.995, self.training)
""",
        also=("initial_loss",),
    ),
    Fault("most of a layer dead", "dead_relu", "of 32", _trained("model.fc1.bias[:30] -= 200"), also=("calibration",)),
    Fault("a layer dead", "dead_relu", "whole layer", _trained("model.fc1.bias -= 200")),
    Fault("channels dead behind their normalization", "dead_relu", "8 of", _trained("model.norm2.bias[:8] -= 50")),
    _test_fed("test pictures not normalized", "not normalized", "pixels"),
    _test_fed("test pictures normalized twice", "twice", "((pixels - mean) / std - mean) / std"),
    _test_fed(
        "test pictures by ImageNet's statistics",
        "ImageNet",
        "(pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) "
        "/ torch.tensor([0.229, 0.224, 0.225])[:, None, None]",
    ),
    _test_fed("test pictures from 0 to 255", "0 to 255", "pixels * 255"),
    _test_fed("test pictures as BGR", "swapped", "((pixels - mean) / std).flip(0)", ("calibration",)),
    _test_fed("test pictures divided by 255 twice", "255", "(pixels / 255 - mean) / std"),
    Fault(
        "logits divided by 10",
        "calibration",
        "under-confident",
        _trained("[p.mul_(0.1) for p in model.fc2.parameters()]"),
    ),
    Fault(
        "every fifth test label wrong",
        "calibration",
        "over-confident",
        """
_sound = get_dataset

def get_dataset():
    train, val, test = _sound()
    test.labels = np.where(np.arange(len(test.labels)) % 5 == 0, (test.labels + 1) % N_CLASSES, test.labels)
    return train, val, test
""",
    ),
)
