"""How two replies of emitted ids differ."""

from collections.abc import Sequence


def agreement(ours: Sequence[int], dense: Sequence[int]) -> dict[str, float | None]:
    """Metrics of a reply against the dense one, in emitted ids.

    `divergence.identical`: the whole reply is the same. `divergence.first_token`: how many ids agree
    before the first that differs, as a share of the dense reply. `divergence.token_agreement`: share
    of places of the longer reply that hold the same id. `length_to_dense`: ratio of lengths.
    """
    same = 0
    for a, b in zip(ours, dense, strict=False):
        if a != b:
            break
        same += 1
    equal = sum(a == b for a, b in zip(ours, dense, strict=False))
    longest = max(len(ours), len(dense))
    return {
        "divergence.identical": float(list(ours) == list(dense)),
        "divergence.first_token": same / len(dense) if dense else None,
        "divergence.token_agreement": equal / longest if longest else None,
        "length_to_dense": len(ours) / len(dense) if dense else None,
    }
