"""How much memory work takes, as torch counts it."""

import torch


def most_bytes(work):
    """Return by how many bytes torch's memory grows at most while something is done."""
    with torch.profiler.profile(profile_memory=True, acc_events=True) as profile:
        work()
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
