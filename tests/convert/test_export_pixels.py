"""A model that prepares pixels itself is known by what it does to them first, wherever that stands."""

import numpy as np
import pytest

from tfq.backend.keras import keras
from tfq.export import ExportError, pixels


def in_a_model(*of_model):
    return keras.Sequential([keras.Input((4, 4, 3)), *of_model])


@pytest.mark.parametrize(
    "front",
    [
        lambda x: keras.layers.Rescaling(1 / 255)(in_a_model(keras.layers.RandomFlip(), keras.layers.Dropout(0.1))(x)),
        lambda x: in_a_model(in_a_model(keras.layers.RandomFlip()), keras.layers.Rescaling(1 / 255))(x),
        lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.ZeroPadding2D()(keras.layers.Activation("linear")(x))),
        lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.CenterCrop(2, 2)(keras.layers.Resizing(4, 4)(x))),
        lambda x: keras.layers.Rescaling(1 / 127.5)(keras.layers.Rescaling(1.0, -127.5)(x)),
        lambda x: x / 255.0,
        lambda x: (x - np.float32([120, 110, 100])) * (1 / 60),
    ],
)
def test_the_preparation_is_found_wherever_it_stands(front):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(front(inputs)))
    assert pixels.own_preparation(model) is not None
    with pytest.raises(ExportError, match="of the model prepares pixels from 0 to 255 itself"):
        pixels.check_once(model, [0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize(
    "front",
    [
        lambda x: x,
        lambda x: keras.layers.Rescaling(0.5)(x),
        lambda x: x + x / 2.0,
        lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.Conv2D(3, 1)(x)),
        lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.BatchNormalization()(x)),
    ],
)
def test_what_does_not_prepare_pixels_is_no_preparation(front):
    inputs = keras.Input((4, 4, 3))
    assert pixels.own_preparation(keras.Model(inputs, keras.layers.Flatten()(front(inputs)))) is None
