"""Does a site answer at all? Asked before a download, so that a machine without a network says so in seconds."""

import threading
import urllib.request

REACH_SECONDS = 6.0  # how long a site may take to answer


def why_unreachable(url: str) -> str | None:
    """Why nothing can be had from `url`, in words; None if it answers.

    Asked in a thread, as a look-up of names knows no time limit.
    """
    failures: list[str] = [f"no answer in {REACH_SECONDS:g} seconds"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pawprint"})
        try:
            urllib.request.urlopen(request, timeout=REACH_SECONDS).close()
            failures.clear()
        except OSError as error:
            failures[:] = [str(error)]

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(REACH_SECONDS)
    return failures[0] if failures else None
