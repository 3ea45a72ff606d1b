"""The quantized layers of this process that have their weights, as long as they live."""

import weakref

built_layers: weakref.WeakSet = weakref.WeakSet()
