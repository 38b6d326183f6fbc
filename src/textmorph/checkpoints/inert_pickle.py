"""Read a pickle and run nothing.

A pickle is a program for a small stack machine. Here is that machine without its powers: no name is imported, no class
instantiated, no method called. A global name is looked up in `CONSTRUCTORS`, whose entries are functions of this file
that return plain containers and inert records; any other name is refused. Everything that a genuine checkpoint needs is
there; the standard library's `Unpickler` is not used, so there is nothing in it to reach.

The result consists of None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict and the records below.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

from ..errors import CorruptCheckpointError, TextmorphError, UnsafeCheckpointError
from ..fields import shown

MAX_OPCODES = 1_000_000  # a genuine file of 1.2 GB has some hundred thousand
MAX_KEY = 2**31
"""Whole numbers below it have hashes of their own; of larger ones a file may choose many of one hash."""
COPIED = 4
"""Bytes that constructors may copy for each byte read so far."""
_SLACK = 1 << 23
_ITEM = {"builtins.set": 8, "builtins.frozenset": 8, "torch.Size": 8, "collections.OrderedDict": 32}
_ITEM |= {"dnnlib.util.EasyDict": 32, "torch.storage._load_from_bytes": COPIED}
"""Bytes for each item of an argument, where a constructor makes a container of it, or reads it as a pickle."""

Persistent = Callable[[Any], object]
"""What stands for a persistent id, a reference to something beside the pickle."""
Nested = Callable[[bytes], object]
"""What stands for the bytes of a torch file within the pickle."""


@dataclass(frozen=True)
class Global:
    """A name that stands for itself: a storage type, a dtype, a class given as an argument."""

    name: str


@dataclass(eq=False)
class Instance:
    """An object of a known class: its class and its attributes."""

    name: str
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Module:
    """A module of NVIDIA's persistence: its class and its attributes. The source code beside them is dropped."""

    class_name: str
    state: dict[str, Any]


@dataclass(frozen=True, eq=False)
class NestedStorage:
    """The bytes of a storage that `torch.save` wrote into the pickle."""

    content: bytes


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """A view of a storage: shape and strides in elements. Not yet checked against it."""

    storage: Any
    offset: Any
    shape: Any
    stride: Any


@dataclass(eq=False)
class DtypeRecord:
    """A numpy dtype: its code and its byte order."""

    code: str
    order: str = "="


@dataclass(eq=False)
class ArrayRecord:
    """A numpy array: its raw bytes. Not yet checked."""

    shape: Any = None
    dtype: Any = None
    fortran: bool = False
    content: Any = b""


def load(stream: BinaryIO, *, persistent: Persistent | None = None, nested: Nested | None = None) -> Any:
    """Read one pickle, up to its end, from a stream.

    Args:
        stream: with read, readline and tell; afterwards it stands behind the pickle.
        persistent: resolves persistent ids; without it they are refused.
        nested: reads torch files within the pickle; without it they are refused.

    Raises:
        UnsafeCheckpointError: it names a global that is not known to be harmless, or uses an opcode that calls one.
        CorruptCheckpointError: it is truncated or malformed.
    """
    try:
        return _Machine(persistent or _refuse_reference, nested or _refuse_nested).run(stream)
    except TextmorphError:
        raise
    except (MemoryError, RecursionError) as error:
        raise UnsafeCheckpointError("the pickle asks for more memory than it can need") from error
    except Exception as error:  # malformed opcodes raise whatever the operation on their operands raises
        raise CorruptCheckpointError(f"the pickle is truncated or damaged: {error}") from error


class _Machine:
    """The stack machine. `metastack` keeps the stacks below each mark."""

    def __init__(self, persistent: Persistent, nested: Nested) -> None:
        self.persistent = persistent
        self.nested = nested
        self.stack: list[Any] = []
        self.metastack: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.read = 0
        self.copied = 0

    def run(self, stream: BinaryIO) -> Any:
        start = stream.tell()
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            self.read = (position or 0) - start
            if count > MAX_OPCODES:
                raise UnsafeCheckpointError(f"the pickle has more than {MAX_OPCODES} instructions")
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _CONSTANT:
                self.stack.append(_CONSTANT[opcode.name]())
            elif opcode.name in _LITERAL:
                self.stack.append(argument)
            else:
                self.step(opcode.name, argument)
        raise CorruptCheckpointError("the pickle has no end")

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.metastack.append(stack)
                self.stack = []
            case "POP":
                if stack:
                    stack.pop()
                else:
                    self.pop_mark()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode[-1])
                if len(stack) < count:
                    raise CorruptCheckpointError("the pickle is damaged: a tuple of nothing")
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE" | "FROZENSET":
                items = self.pop_mark()
                self.stack.append(tuple(items))
            case "LIST":
                items = self.pop_mark()
                self.stack.append(items)
            case "DICT":
                items = self.pop_mark()
                self.stack.append({})
                _set_items(self.stack[-1], items)
            case "APPEND":
                value = stack.pop()
                _extend(stack[-1], [value])
            case "APPENDS" | "ADDITEMS":
                items = self.pop_mark()
                _extend(self.stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                items = self.pop_mark()
                _set_items(self.stack[-1], items)
            case "GLOBAL":
                stack.append(_find(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_find(module, name))
            case "REDUCE" | "NEWOBJ":
                arguments, callee = stack.pop(), stack.pop()
                self.spend(callee, arguments)
                made = _construct(callee, arguments, {})
                stack.append(self.nested(made.content) if isinstance(made, NestedStorage) else made)
            case "NEWOBJ_EX":
                keywords, arguments, callee = stack.pop(), stack.pop(), stack.pop()
                self.spend(callee, arguments, keywords)
                stack.append(_construct(callee, arguments, keywords))
            case "BUILD":
                state = stack.pop()
                stack[-1] = _build(stack[-1], state)
            case "PERSID":
                stack.append(self.persistent(argument))
            case "BINPERSID":
                stack.append(self.persistent(stack.pop()))
            case "INST":
                raise UnsafeCheckpointError(f"it asks for an instance of {shown(argument.replace(' ', '.'))}")
            case _:
                raise UnsafeCheckpointError(f"the pickle uses the instruction {opcode}, which no checkpoint needs")

    def spend(self, callee: Any, *given: Any) -> None:
        """Count what a constructor copies, before it does: one call may name the same megabytes as the last."""
        item = _ITEM.get(callee.name, 1) if isinstance(callee, Global) else 1
        for arguments in given:
            values = arguments.values() if type(arguments) is dict else arguments if type(arguments) is tuple else ()
            self.copied += 8 * len(values)
            self.copied += sum(item * len(value) for value in values if isinstance(value, _SIZED))
        if self.copied > COPIED * self.read + _SLACK:
            raise UnsafeCheckpointError("the pickle copies the same again and again, to far more memory than it holds")

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.metastack.pop()
        return items


_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,  # a set of records would need hashes; nothing here asks for one
}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_BYTES = ("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_SIZED = (str, bytes, bytearray, list, tuple, dict)
_LITERAL = frozenset((*_NUMBERS, *_BYTES, *_TEXTS))


def _extend(target: Any, values: list[Any]) -> None:
    if type(target) is not list:
        raise CorruptCheckpointError(f"the pickle is damaged: it appends to {type(target).__name__}")
    target.extend(values)


def _set_items(target: Any, pairs: list[Any]) -> None:
    if isinstance(target, Instance):
        target = target.items
    if type(target) is not dict or len(pairs) % 2:
        raise CorruptCheckpointError(f"the pickle is damaged: it sets items of {type(target).__name__}")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, (str, int, bytes, type(None))):  # the hash of nested tuples can take for ever
            raise CorruptCheckpointError(f"the pickle has a key of type {type(key).__name__}")
        if isinstance(key, int) and not -MAX_KEY < key < MAX_KEY:
            raise CorruptCheckpointError(f"the pickle has the key {shown(key)}, which is no number of anything")
        target[key] = value


def _find(module: Any, name: Any) -> Global:
    known = f"{module}.{name}"
    known = _SPELLINGS.get(known, known)
    if known not in CONSTRUCTORS and known not in MARKERS:
        raise UnsafeCheckpointError(
            f"it asks for {shown(known)}, which is not known to be harmless; nothing in it was run"
        )
    return Global(known)


def _construct(callee: Any, arguments: Any, keywords: Any) -> Any:
    if not isinstance(callee, Global) or callee.name not in CONSTRUCTORS:
        what = callee.name if isinstance(callee, Global) else f"a {type(callee).__name__}"
        raise UnsafeCheckpointError(f"the pickle calls {what}, which is no constructor")
    if type(arguments) is not tuple or type(keywords) is not dict:
        raise CorruptCheckpointError(f"the pickle is damaged: arguments of {callee.name} that are no tuple")
    return CONSTRUCTORS[callee.name](*arguments, **keywords)


def _build(target: Any, state: Any) -> Any:
    """Give an object its state; the object, or what stands in its place."""
    if isinstance(target, Instance):
        target.state = state
    elif isinstance(target, ArrayRecord):
        _, target.shape, target.dtype, target.fortran, target.content = state
    elif isinstance(target, DtypeRecord):
        target.order = state[1]
    elif type(target) is not dict:  # attributes of an EasyDict or OrderedDict repeat its items or are of no use
        raise UnsafeCheckpointError(f"the pickle sets attributes of a {type(target).__name__}")
    return target


def _refuse_reference(reference: Any) -> NoReturn:
    raise UnsafeCheckpointError("the pickle refers to something outside itself")


def _refuse_nested(content: bytes) -> NoReturn:
    raise UnsafeCheckpointError("the pickle has a torch file within a torch file")


def _module(meta: Any) -> Module:
    if type(meta) is not dict or type(meta.get("state")) is not dict or not isinstance(meta.get("class_name"), str):
        raise CorruptCheckpointError("a module of this file has no class name or no attributes")
    return Module(meta["class_name"], meta["state"])


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for argument in arguments:
        pairs: Iterable[Any] = argument.items() if type(argument) is dict else argument
        for key, value in pairs:
            _set_items(made, [key, value])
    return made


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorRecord:
    return TensorRecord(storage, offset, shape, stride)


def _nested(content: Any) -> NestedStorage:
    return NestedStorage(raw_bytes(content))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise UnsafeCheckpointError(f"the pickle encodes bytes as {shown(encoding)}")
    return raw_bytes(text)


def raw_bytes(content: Any) -> bytes:
    """Bytes as they are; text in which an old pickle hides them."""
    return content.encode("latin1") if isinstance(content, str) else bytes(memoryview(content))


def _dtype(code: Any, *_: Any) -> DtypeRecord:
    code = code if isinstance(code, str) else raw_bytes(code).decode("latin1")
    order, kind = (code[:1], code[1:]) if code[:1] in "<>=|" else ("=", code)
    if kind not in NUMPY_TYPES:
        raise UnsafeCheckpointError(f"it holds a numpy array of type {shown(kind)}; weights are numbers")
    return DtypeRecord(kind, order)


def _scalar(dtype: Any, content: Any = b"") -> ArrayRecord:
    return ArrayRecord((), dtype, False, content)


def _array(*_: Any) -> ArrayRecord:
    return ArrayRecord()


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> ArrayRecord:
    return ArrayRecord(shape, dtype, order == "F", content)


def _instance(name: str) -> Callable[..., Instance]:
    return lambda *_: Instance(name)


CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _module,
    "dnnlib.util.EasyDict": _dictionary,
    "collections.OrderedDict": _dictionary,
    "builtins.set": lambda items=(): list(items),
    "builtins.frozenset": lambda items=(): tuple(items),
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _nested,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.device": lambda *parts: ":".join(map(shown, parts)),
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.numeric._frombuffer": _array_of_buffer,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    "argparse.Namespace": _instance("argparse.Namespace"),
    "dnnlib.tflib.network.Network": _instance("dnnlib.tflib.network.Network"),
}
"""Every global that a pickle may call, and what stands in its place."""

STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}
"""Storage types and the torch dtype of their elements."""

NUMPY_TYPES = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
"""Types of numpy arrays that hold plain numbers."""

MARKERS = frozenset(
    [*STORAGES, "numpy.ndarray", *(f"torch.{name}" for name in set(STORAGES.values())), "torch.contiguous_format"]
)
"""Every global that a pickle may name but not call."""

_SPELLINGS = {
    "__builtin__.set": "builtins.set",
    "__builtin__.frozenset": "builtins.frozenset",
    "dnnlib.EasyDict": "dnnlib.util.EasyDict",
    "torch.UntypedStorage": "torch.storage.UntypedStorage",
    "numpy._core.multiarray.scalar": "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct": "numpy.core.multiarray._reconstruct",
    "numpy._core.numeric._frombuffer": "numpy.core.numeric._frombuffer",
}
