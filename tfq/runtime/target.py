"""A target of numba's for one function with all that it calls: optimized together, once, for a chosen set of instructions.

numba's own target optimizes each function and makes it executable by itself, also those that compiled code alone calls. That
takes as long again as all the rest.
"""

import contextlib
import gc
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from tfq import optional
from tfq.runtime import isa
from tfq.runtime.isa import llvm

try:
    from numba import jit
    from numba.core import codegen, cpu, dispatcher, typing
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.descriptors import TargetDescriptor
    from numba.core.target_extension import CPU, dispatcher_registry, jit_registry, target_override, target_registry
    from numba.core.types.functions import Dispatcher as DispatcherType
    from numba.core.types.misc import unliteral
except ImportError as error:
    raise ImportError(optional.missing("numba")) from error

NAME = "tfq"


class _Library(codegen.JITCodeLibrary):
    """What was lowered, as it is: only the function that is compiled last is optimized."""

    _is_linked = False

    def add_linking_library(self, library):
        self._linking_libraries.append(library)

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _get_module_for_linking(self):
        if not self._is_linked:
            for library in dict.fromkeys(self._linking_libraries):
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            # Each of its callers brings it along: the definitions are the same.
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage == llvm.Linkage.external:
                    function.linkage = "linkonce_odr"
            self._is_linked = True
        return self._final_module


class _Codegen(codegen.JITCPUCodegen):
    _library_class = _Library

    def _get_host_cpu_name(self):
        forced = isa.forced()
        return super()._get_host_cpu_name() if forced is None else forced.cpu

    def _get_host_cpu_features(self):
        forced = isa.forced()
        return super()._get_host_cpu_features() if forced is None else forced.flags


class _LoadedOnce:
    """A context that imports the modules of numba that register something once, and not before and after each function."""

    _is_loaded = False
    _registries: dict[Any, Any]
    install_registry: Callable[[Any], None]

    def load_additional_registries(self):
        if self._is_loaded:
            for registry in list(self._registries):
                self.install_registry(registry)  # what is new in it
        else:
            super().load_additional_registries()  # type: ignore[misc]  # of the context that it is mixed into
            self._is_loaded = True


class _TypingContext(_LoadedOnce, typing.Context):
    """A context that remembers what an operator or intrinsic makes of types: numba tries all it has, for each place anew."""

    def init(self):
        super().init()
        self._signatures = {}

    def _resolve_user_function_type(self, func, args, kws, literals=None):
        key = func, tuple(args)
        if kws or isinstance(func, DispatcherType):
            return super()._resolve_user_function_type(func, args, kws, literals)
        if key not in self._signatures:
            result = super()._resolve_user_function_type(func, args, kws, literals)
            if result is None:
                return None
            self._signatures[key] = result
        return self._signatures[key]


class _Context(_LoadedOnce, cpu.CPUContext):
    def init(self):
        super().init()
        self._internal_codegen = _Codegen("tfq")

    def get_executable(self, library, fndesc, env):
        # The key that callers find the function by. It has to be an object of its own, and a function of C.
        return [].append


class _Descriptor(TargetDescriptor):
    options = cpu.CPUTargetOptions

    @cached_property
    def target_context(self):
        return _Context(self.typing_context, NAME)

    @cached_property
    def typing_context(self):
        return _TypingContext()


class _Target(CPU):
    """What holds for numba's CPU holds here."""


class _Dispatcher(dispatcher.Dispatcher):
    targetdescr = _Descriptor(NAME)

    def compile(self, sig):
        with target_override(NAME):
            return super().compile(sig)

    def get_call_template(self, args, kws):
        # Without it there would be one compilation for each constant that is passed. LLVM puts them in where it inlines.
        return super().get_call_template(tuple(map(unliteral, args)), kws)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.py_func.__name__} is for compiled code: what Python calls is tfq.runtime.jit.callable_njit")


target_registry[NAME] = _Target
dispatcher_registry[_Target] = _Dispatcher
jit_registry[_Target] = partial(jit, _target=NAME)


def instructions() -> tuple[str, set[str]]:
    """What code is compiled for: the triple of LLVM, and the set of the processor's features."""
    triple, _, features = _Dispatcher.targetdescr.target_context.codegen().magic_tuple()
    return triple, {feature[1:] for feature in features.split(",") if feature.startswith("+")}


def object_file(function: Any, *arguments: Any) -> tuple[str, bytes]:
    """Compile a function of this target for arguments of some types; returns its symbol, and the content of an object file.

    Its first two arguments in machine code are where its result goes and where an exception goes. It returns a status.
    """
    with global_compiler_lock, _without_collection():
        function.compile(arguments)
        result = function.overloads[arguments]
        result.library.finalize()
    return result.fndesc.llvm_func_name, result.library._get_compiled_object()


@contextlib.contextmanager
def _without_collection():
    """Without a search for garbage, a tenth of the time: numba makes millions of objects, and they stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
