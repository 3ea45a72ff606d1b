"""Random functional Keras models of all layers that a `.tfq` file holds, with random weights and moving statistics."""

import numpy as np

from tfq.backend.keras import is_legacy, keras
from tfq.layers import (
    BatchNormalization,
    QuantActivation,
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantDense,
    QuantDepthwiseConv1D,
    QuantDepthwiseConv2D,
    QuantGradient,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

L = keras.layers
_MOST_CHANNELS = 80
_SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
_WITH_KERNELS = (
    *(L.Conv1D, L.Conv2D, L.Conv1DTranspose, L.Conv2DTranspose, L.DepthwiseConv1D, L.DepthwiseConv2D, L.Dense),
    *_SEPARABLE,
)


def random_model(seed):
    """A model of one image (or vector) that gives logits; the same for the same seed."""
    grower = Grower(seed)
    model = grower.model()
    randomize(model, grower.rng)
    keras.utils.set_random_seed(seed)
    # With a momentum of 0, one step of training gives batch normalization the statistics of these images.
    model(images_for(model, grower.rng), training=True)
    disturb(model, grower.rng)
    return model


def images_for(model, rng, count=16):
    """Images of noise."""
    return rng.normal(size=(count, *model.inputs[0].shape[1:])).astype("float32")


def randomize(model, rng, zero_filters=0.1):
    """Give the layers weights of all kinds: filters and gammas of zero, negative gammas."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomize(layer, rng, zero_filters)
        elif isinstance(layer, L.BatchNormalization):
            *affine, mean, variance = layer.get_weights()
            affine = [rng.normal(0.2, 1, w.shape) * (rng.random(w.shape) > 0.05) for w in affine]
            layer.set_weights([*affine, mean, variance])
        elif isinstance(layer, _WITH_KERNELS):
            count = 2 if isinstance(layer, _SEPARABLE) else 1
            kernels, bias = layer.get_weights()[:count], layer.get_weights()[count : count + layer.use_bias]
            # A layer with a quantizer of gradients has the key of its noise behind these.
            rest = layer.get_weights()[count + layer.use_bias :]
            values = [rng.normal(size=kernel.shape) / np.sqrt(np.prod(kernel.shape[:-1])) for kernel in kernels]
            if rng.random() < zero_filters:
                values[0][..., rng.integers(kernels[0].shape[-1])] = 0
            layer.set_weights([*values, *[rng.normal(0, 0.3, b.shape) for b in bias], *rest])


def disturb(model, rng):
    """Change the moving statistics, each by its own share."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            disturb(layer, rng)
        elif isinstance(layer, L.BatchNormalization):
            *affine, mean, variance = layer.get_weights()
            mean = mean + rng.normal(0, 0.3, mean.shape) * np.sqrt(variance)
            # Of a channel that is constant in these images, rounding errors would otherwise become 30 times as large.
            variance = np.maximum(variance, 0.05) * rng.uniform(0.3, 3, variance.shape)
            layer.set_weights([*affine, mean, variance])


class Grower:
    """Adds layers that it draws to a tensor."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def model(self):
        """A model; its weights are Keras' own."""
        if self.chance(0.1):
            x = keras.Input((self.between(1, 70),))
            return keras.Model(x, self.head(x))
        x = keras.Input((self.between(5, 16), self.between(5, 16), self.pick(1, 3, 4)))
        y = self.several(x, self.between(2, 7))
        return keras.Model(x, self.head(self.flat(y)))

    def several(self, x, count):
        """`count` random steps on an image."""
        steps = [
            *[self.convolution] * 6,
            *[self.normalization, self.activation, self.pool, self.branches] * 2,
            *(self.rescaling, self.quantization, self.shared, self.nested),
            *(self.reshaped, self.nothing, self.padded, self.on_pixels),
            *(self.separable, self.transposed, self.sequence, self.sequence),
        ]
        for _ in range(count):
            x = self.pick(*steps)(x)
        return x

    def head(self, y):
        """Dense layers to the logits."""
        for _ in range(self.between(0, 2)):
            y = self.dense(y, self.between(1, 70))
            y = self.pick(self.normalization, self.activation, self.quantization, self.nothing)(y)
        if self.chance(0.2):
            y = L.Concatenate()([y, self.dense(y, 5)])
        return L.Dense(self.between(2, 12), use_bias=self.chance(0.5))(y)

    # Draws

    def chance(self, probability):
        return self.rng.random() < probability

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def input_quantizer(self):
        bits = self.pick(self.between(1, 4), self.pick(5, 8, 16, 32))
        return self.pick(None, XnorInputs(), DoReFaInputs(bits))

    def quantizers(self, is_depthwise=False):
        center = self.chance(0.3) and not is_depthwise  # whose filters have one channel
        kernel_quantizer = self.pick(
            None,
            XnorWeights(center=center, clip=self.chance(0.3)),
            XnorWeights(),
            TernaryWeights(per_filter=self.chance(0.5)),
            DoReFaWeights(self.between(1, 4)),
            DoReFaWeights(self.pick(5, 8, 12, 16, 32)),
        )
        gradient_quantizer = DoReFaGradients(6, seed=1) if self.chance(0.1) else None
        return {
            "input_quantizer": self.input_quantizer(),
            "kernel_quantizer": kernel_quantizer,
            "gradient_quantizer": gradient_quantizer,
        }

    def ending(self):
        """Bias and activation of a layer; a bare sum of levels may be 0 exactly, of which rounding would say the sign."""
        function = self.function()
        return {"activation": function, "use_bias": isinstance(function, XnorInputs | DoReFaInputs) or self.chance(0.6)}

    def function(self):
        functions = [None, None, None, "linear", "relu", XnorInputs(), DoReFaInputs(3)]
        return self.pick(*functions, *([] if is_legacy else ["relu6", "hard_tanh"]))

    # Steps: an image in, an image out

    def convolution(self, x, filters=None, **fixed):
        """A convolution of any kind, quantized or not; `fixed` holds options that are not to be drawn."""
        height, width, channels = x.shape[1:]
        filters = filters or self.pick(self.between(1, 40), self.between(1, 40), self.between(1, _MOST_CHANNELS), 16, 32, 64)
        size = self.pick((1, 1), (3, 3), (3, 3), (2, 3), (5, 1), (4, 4))
        options = {"padding": self.pick("same", "valid"), "strides": self.pick(1, 1, 1, 2, (1, 2), 3)}
        options.update(fixed)
        if options["strides"] == 1 and self.chance(0.3):
            options["dilation_rate"] = self.pick(2, (1, 3))
        if x.shape[2] <= 8:
            # Where one column comes out, TensorFlow's convolution on CPUs takes the stride of columns for that of rows as well.
            options["strides"] = int(np.max(options["strides"]))
        dilations = np.broadcast_to(options.get("dilation_rate", 1), 2)
        covered = [(length - 1) * dilation + 1 for length, dilation in zip(size, dilations, strict=True)]
        if covered[0] > height or covered[1] > width:
            options["padding"] = "same"
        options.update(self.ending())
        groups = self.pick(1, 1, 1, 1, 2, 4, channels)
        if channels % groups == 0 and filters % groups == 0:
            options["groups"] = groups
        # TensorFlow's depthwise convolution takes equal strides alone.
        if options.get("groups", 1) == channels > 1 and np.size(options["strides"]) == 1:
            del options["groups"]
            options |= {"depth_multiplier": filters // channels, "kernel_size": size}
            stock, ours = L.DepthwiseConv2D, QuantDepthwiseConv2D
        else:
            options |= {"filters": filters, "kernel_size": size}
            stock, ours = L.Conv2D, QuantConv2D
        if self.chance(0.25):
            options.pop("input_quantizer", None)
            return stock(**options)(x)
        options = {**self.quantizers(ours is QuantDepthwiseConv2D), **options}
        if options["padding"] == "same":
            options["pad_values"] = self.pick(0, 1, -1)
        if ours is QuantDepthwiseConv2D:
            return self.generic(ours(**options), x)
        if options.get("groups", 1) == 1 and getattr(options["input_quantizer"], "bits", 32) < 32:
            options["kmap"] = self.chance(0.4)
        return self.generic(ours(**options), x)

    def generic(self, layer, x):
        """A quantized layer, most often on values of both signs (those of a ReLU have one), with something added to its sums.

        Bare sums of levels lie on the boundaries of the next quantizer, and rounding says on which side they fall.
        """
        y = layer(self.normalization(x) if self.chance(0.7) else x)
        has_levels = not layer.use_bias or isinstance(layer.activation, XnorInputs | DoReFaInputs)
        return self.normalization(y) if has_levels else y

    def separable(self, x):
        """Two kernels, each with a quantizer of its own."""
        size, strides = self.pick((1, 1), (3, 3), (2, 3)), self.pick(1, 2)
        return self.generic(self.of_two_kernels(QuantSeparableConv2D, size, strides=strides, padding="same"), x)

    def of_two_kernels(self, kind, size, **options):
        quantizers = self.quantizers(is_depthwise=True)
        depthwise, pointwise = quantizers.pop("kernel_quantizer"), self.quantizers()["kernel_quantizer"]
        quantizers |= {"depthwise_quantizer": depthwise, "pointwise_quantizer": pointwise}
        options |= {"pad_values": self.pick(0, 1, -1), "depth_multiplier": self.between(1, 2), **self.ending()}
        return kind(self.between(1, 40), size, **options, **quantizers)

    def transposed(self, x):
        """A convolution the other way round, which makes small images larger."""
        strides = self.pick(1, 2) if max(x.shape[1:3]) <= 16 else 1
        size, padding = self.pick((2, 2), (3, 3), (3, 2)), self.pick("same", "valid")
        options = {"strides": strides, "padding": padding, **self.ending()}
        return self.generic(QuantConv2DTranspose(self.between(1, 40), size, **options, **self.quantizers()), x)

    def sequence(self, x):
        """The pixels as a sequence, through a layer of sequences."""
        y = L.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)
        size, filters = self.between(1, 4), self.between(1, 40)
        kind = self.pick(QuantConv1D, QuantConv1DTranspose, QuantDepthwiseConv1D, QuantSeparableConv1D)
        if kind is QuantSeparableConv1D:
            layer = self.of_two_kernels(kind, size, padding="same")
        elif kind is QuantConv1DTranspose:
            layer = kind(filters, size, padding=self.pick("same", "valid"), **self.ending(), **self.quantizers())
        elif kind is QuantDepthwiseConv1D:
            layer = kind(size, padding="same", pad_values=self.pick(0, 1, -1), **self.ending(), **self.quantizers(True))
        else:
            options = {"padding": self.pick("same", "causal"), "pad_values": self.pick(0, 1, -1), "strides": self.pick(1, 2)}
            layer = kind(filters, size, **options, **self.ending(), **self.quantizers())
        y = self.generic(layer, y)
        return L.Reshape((y.shape[1], 1, y.shape[2]))(y)

    def normalization(self, x):
        kind = self.pick(BatchNormalization, L.BatchNormalization)
        options = {"scale": self.chance(0.8), "center": self.chance(0.8), "epsilon": self.pick(1e-3, 1e-5)}
        return kind(momentum=0.0, **options)(x)

    def activation(self, x):
        kinds = [L.ReLU(), L.ReLU(6.0), L.ReLU(0.75), L.Activation("relu"), L.Activation("linear")]
        kinds += [] if is_legacy else [L.Activation("hard_tanh"), L.Activation("relu6")]
        return self.pick(*kinds)(x)

    def quantization(self, x):
        y = QuantActivation(self.input_quantizer())(self.normalization(x) if self.chance(0.7) else x)
        if len(y.shape) == 4 and self.chance(0.5):
            return self.normalization(self.convolution(y, input_quantizer=None))
        return self.normalization(y)

    def rescaling(self, x):
        channels = x.shape[-1]
        by_channel = self.rng.normal(size=(2, channels)).tolist()
        return L.Rescaling(*self.pick((0.7, 0.1), (-1.5,), by_channel))(x)

    def pool(self, x):
        kind, padding = self.pick(L.MaxPooling2D, L.AveragePooling2D), self.pick("same", "valid")
        size = self.pick(2, 3, (3, 2), (1, 3))
        if min(np.array(x.shape[1:3]) - size) < 0:
            padding = "same"
        return kind(size, self.pick(None, 1, 2, (2, 1), 3), padding)(x)

    def branches(self, x):
        """Two or three tensors of one size, added or joined."""
        count, channels = self.between(2, 3), self.pick(x.shape[-1], self.between(1, 40))
        same = {"padding": "same", "strides": 1}
        parts = [self.convolution(x, channels, **same) for _ in range(count)]
        if channels == x.shape[-1]:
            parts[0] = x
        if self.chance(0.3):
            parts.append(self.pick(*parts))
        self.rng.shuffle(parts)
        if self.chance(0.5):
            return L.Add()(parts)
        if self.chance(0.4) and not is_legacy:
            return sum(parts[1:], parts[0])  # `x + y`
        return L.Concatenate()(parts)

    def shared(self, x):
        """A layer that is called twice."""
        layer = QuantConv2D(x.shape[-1], 3, padding="same", pad_values=self.pick(0, 1, -1), **self.quantizers())
        return layer(self.activation(layer(x))) if self.chance(0.5) else L.Add()([layer(x), layer(self.activation(x))])

    def nested(self, x):
        """A model as a layer, called once or twice."""
        inner_input = keras.Input(x.shape[1:])
        inner_output = self.convolution(self.normalization(inner_input))
        if self.chance(0.5):
            inner = keras.Model(inner_input, inner_output)
        else:
            inner = keras.Sequential([inner_input, L.ReLU(), QuantConv2D(8, 3, padding="same", **self.quantizers())])
        return L.Concatenate()([inner(x), inner(self.activation(x))]) if self.chance(0.5) else inner(x)

    def reshaped(self, x):
        height, width, channels = x.shape[1:]
        return L.Reshape(self.pick((width, height, channels), (height * width, 1, channels), (height, channels, width)))(x)

    def padded(self, x):
        return L.ZeroPadding2D(self.pick(1, (0, 2), ((0, 1), (0, 1)), ((2, 0), (1, 3))))(x)

    def nothing(self, x):
        names = ("Dropout", "SpatialDropout2D", "Identity", "GaussianNoise")
        name = self.pick(*(names if len(x.shape) == 4 else names[:1]))
        if self.chance(0.2):
            return QuantGradient(DoReFaGradients(4, seed=1))(x)
        return getattr(L, name)()(x) if name == "Identity" else getattr(L, name)(0.5)(x)

    def on_pixels(self, x):
        return self.dense(x, self.between(1, 20))

    # To and on vectors

    def flat(self, x):
        """An image as a vector."""
        kind = self.pick(L.GlobalMaxPooling2D, L.GlobalAveragePooling2D)
        if np.prod(x.shape[1:]) > 4000 or self.chance(0.5):
            return kind()(x) if self.chance(0.7) else L.Flatten()(self.convolution(kind(keepdims=True)(x)))
        return L.Flatten()(x) if self.chance(0.7) else L.Reshape((-1,))(x)

    def dense(self, x, units):
        options = self.ending()
        if self.chance(0.25):
            return L.Dense(units, **options)(x)
        return self.generic(QuantDense(units, **options, **self.quantizers()), x)
