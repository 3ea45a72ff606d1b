"""Names that no two operations of a graph, or layers of a model, have in common."""


def unique(name: str, used: set[str]) -> str:
    """`name`, or `name_2`, `name_3`, ... where it is used already; from now on it is."""
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate
