"""Tags of words, and the entities that they mark."""

IGNORE = -100  # a position without a target, the `ignore_index` of PyTorch's cross-entropy


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """Return the entities of BIO tags as (first word, last word, kind), in order.

    An I- tag without a preceding tag of its kind begins an entity, as in conlleval, the CoNLL scorer.
    """
    entities: list[tuple[int, int, str]] = []
    for index, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and entities and entities[-1][1:] == (index - 1, kind):
            entities[-1] = (entities[-1][0], index, kind)
        elif mark in ("B", "I"):
            entities.append((index, index, kind))
    return entities
