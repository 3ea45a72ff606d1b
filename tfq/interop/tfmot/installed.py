"""tfmot, or an error that says how to get it."""

from tfq.backend.keras import is_legacy
from tfq.optional import require

if not is_legacy:
    raise ImportError("tfq.interop.tfmot is for tfmot, which knows tf_keras alone: set TF_USE_LEGACY_KERAS=1")
tfmot = require("tensorflow_model_optimization").quantization.keras
