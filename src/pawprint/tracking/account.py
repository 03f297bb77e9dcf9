"""Whether W&B's service is spoken to at all. Asked before every training, so it does without importing W&B."""

import netrc
import os
from typing import Literal, cast

Mode = Literal["online", "offline", "disabled", "shared"]


def mode() -> Mode:
    """`online` with an account, else `offline`; WANDB_MODE wins."""
    if "WANDB_MODE" in os.environ:
        return cast("Mode", os.environ["WANDB_MODE"])  # W&B says which are valid
    try:
        logged_in = any("wandb" in host for host in netrc.netrc().hosts)
    except (FileNotFoundError, netrc.NetrcParseError):
        logged_in = False
    return "online" if logged_in or "WANDB_API_KEY" in os.environ else "offline"


def speaks_to_the_service() -> bool:
    return mode() in ("online", "shared")
