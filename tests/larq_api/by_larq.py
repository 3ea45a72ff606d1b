"""The losses, gradients and weights of larq's examples by larq itself, on tf_keras, in ten steps of Adam.

    TF_USE_LEGACY_KERAS=1 python tests/larq_api/by_larq.py FILE [--whole]

A file holds what a test needs to make the weights of each step again: which signs of kernels the step before has flipped, and the
other weights. Of the gradients it holds the largest of each weight, and values at places that a seed gives; with --whole all.
"""

import sys

import numpy as np
from larq_examples import NETWORKS, SEEDS, STEPS, assign, batches, before_signs, by_tape, initial

PLACES = 100


def places(sizes, is_whole=False):
    """Where the gradients are compared, in all weights one after the other."""
    starts = np.cumsum([0, *sizes[:-1]])
    some = [np.random.default_rng(size).permutation(size)[: size if is_whole else PLACES] for size in sizes]
    return np.concatenate([start + np.sort(chosen) for start, chosen in zip(starts, some, strict=True)])


def steps(name):
    """(weights, loss, gradients) of each step, and how near to 0 the values before the signs of the first come."""
    import larq
    import tf_keras

    model = NETWORKS[name](larq, tf_keras)
    x, y = batches(model.input_shape[1:], SEEDS[name])
    variables = model.trainable_weights
    assign(variables, initial(variables, SEEDS[name]))
    nearest = min(np.abs(values.numpy()).min() for values in before_signs(model, tf_keras, x[0]))
    optimizer = tf_keras.optimizers.Adam(1e-2)
    done = []
    for step in range(STEPS):
        weights = [variable.numpy() for variable in variables]
        loss, gradients = by_tape(model, tf_keras, x[step], y[step])
        done.append((weights, loss, gradients))
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return done, nearest


def flat(arrays):
    """Their values one after the other."""
    return np.concatenate([array.ravel() for array in arrays])


def held(name, is_whole=False):
    """What a file holds of a network."""
    done, nearest = steps(name)
    chosen = places([weight.size for weight in done[0][0]], is_whole)
    signs = [flat([weight for weight in weights if weight.ndim > 1]) >= 0 for weights, *_ in done]
    flips = [np.flatnonzero(new != old) for new, old in zip(signs[1:], signs, strict=False)]
    return {
        "nearest": np.array(nearest),
        "losses": np.array([loss for _, loss, _ in done]),
        "largest": np.array([[np.abs(gradient).max() for gradient in gradients] for *_, gradients in done]),
        "gradients": np.array([flat(gradients)[chosen] for *_, gradients in done]),
        "others": np.array([flat([weight for weight in weights if weight.ndim == 1]) for weights, *_ in done]),
        "flip_counts": np.array([len(flipped) for flipped in flips]),
        "flips": np.concatenate([np.diff(flipped, prepend=0) for flipped in flips]).astype("uint32"),
    }


if __name__ == "__main__":
    is_whole = "--whole" in sys.argv
    np.savez_compressed(sys.argv[1], **{f"{name}/{k}": v for name in NETWORKS for k, v in held(name, is_whole).items()})
