"""What the server takes, how much of it at once, and how long it waits: each an option of `pawprint serve`.

How much memory that is at most: `uploads` + `queue` bodies of `max_megabytes`, and of each picture that is being
decoded (`decoders` at once) 8 bytes a pixel.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The defaults suit a model of some milliseconds a picture on a few cores."""

    batch: int = 32  # pictures at most in one call of the model; more gain nothing on a CPU
    wait_ms: float = 2.0  # that a batch waits for pictures that are on their way, at most
    queue: int = 128  # pictures that are decoded, wait or are answered at once; more get 503
    overload_queue: int = 16  # that many of them while more come than can be answered
    uploads: int = 64  # requests whose bodies are being read at once; more get 503
    decoders: int = 2  # threads that decode
    max_megabytes: float = 10.0  # of a request's body; a phone's photographs have 3 to 8. More gets 413
    max_megapixels: float = 50.0  # of a picture, by its header; data/decode.py takes no more anywhere. More gets 422
    read_seconds: float = 10.0  # for a request to arrive: its head, and then its body. Longer gets 408
    answer_seconds: float = 10.0  # from there to its answer. Longer gets 503
    grace_seconds: float = 30.0  # for what is accepted to be answered after a signal to stop

    @property
    def max_bytes(self) -> int:
        return int(self.max_megabytes * 1e6)
