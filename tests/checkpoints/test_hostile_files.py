"""Files made to harm: none of them runs anything, takes the memory of the machine or leaves a file behind."""

from __future__ import annotations

import argparse
import builtins
import importlib
import io
import json
import os
import pickle
import struct
import subprocess
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import textmorph
from tests.checkpoints import foreign
from tests.toys import toy_generator
from textmorph import checkpoints
from textmorph.errors import CheckpointError, UnsafeCheckpointError

TREE = {"G_ema": None, "g_ema": {}, "state_dict": {}}  # so that a file would be looked into, if it got that far


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class CallByState:
    """Pickles as a harmless object whose state is the call."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedDict, (), {"attribute": self.state}


def touch(marker: Path) -> Call:
    return Call(os.system, f"touch {marker}")


def dump(tree: object, protocol: int = 4) -> bytes:
    with foreign.borrowed():
        return pickle.dumps(tree, protocol=protocol)


def toy_state() -> dict[str, torch.Tensor]:
    return foreign.to_nvidia(toy_generator(8).state_dict())


def global_call(module: str, name: str, *arguments: object) -> bytes:
    """A pickle that calls a global by name, whether or not it exists here."""
    body = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"
    body += b"(" + b"".join(pickle.dumps(argument, 2)[2:-1] for argument in arguments) + b"tR"
    return body + b"."


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name.replace('__', '/').replace('_pkl', '.pkl')}", content)
    return file.getvalue()


def legacy(tree: bytes, keys: bytes = b"\x80\x02].") -> bytes:
    """Torch's older packing around a pickle."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, system)]
    return b"".join([*head, tree, keys])


def persistent(reference: object) -> bytes:
    """A pickle of one persistent id."""
    return pickle.dumps(reference, 2)[:-1] + b"Q."


STORAGE = ("storage", torch.FloatStorage, "0", "cpu", 4)


# Pickles that call something. Each takes the marker that would appear, and gives the bytes of a file.

CALLS: dict[str, Callable[[Path], bytes]] = {
    "os.system in __reduce__": lambda m: dump({**TREE, "G_ema": touch(m)}),
    "os.system, protocol 0": lambda m: pickle.dumps(touch(m), 0),
    "os.system, protocol 1": lambda m: pickle.dumps([touch(m)], 1),
    "os.system, protocol 2": lambda m: pickle.dumps(touch(m), 2),
    "builtins.exec": lambda m: dump(Call(exec, f"open({str(m)!r}, 'w').close()")),
    "builtins.eval": lambda m: dump([Call(eval, f"open({str(m)!r}, 'w')")]),
    "builtins.open": lambda m: dump(Call(open, str(m), "w")),
    "builtins.__import__": lambda m: dump(Call(builtins.__import__, "os")),
    "importlib.import_module": lambda m: dump(Call(importlib.import_module, "os")),
    "builtins.getattr": lambda m: dump(Call(getattr, foreign.EasyDict(), "keys")),
    "subprocess.Popen": lambda m: dump(Call(subprocess.Popen, ["touch", str(m)])),
    "subprocess.Popen by NEWOBJ": lambda m: (
        b"\x80\x02csubprocess\nPopen\n(U\x05touchU" + bytes([len(str(m))]) + str(m).encode() + b"l\x85\x81."
    ),
    "the INST instruction": lambda m: f"(S'touch {m}'\nios\nsystem\n.".encode(),
    "the OBJ instruction": lambda m: f"(cos\nsystem\nS'touch {m}'\no.".encode(),
    "the INST instruction, protocol 2": lambda m: b"\x80\x02" + f"(S'touch {m}'\nios\nsystem\n.".encode(),
    "the OBJ instruction, protocol 2": lambda m: b"\x80\x02" + f"(cos\nsystem\nS'touch {m}'\no.".encode(),
    "a text pickle": lambda m: f"cos\nsystem\n(S'touch {m}'\ntR.".encode(),
    "an extension code": lambda m: b"\x80\x02\x82\x01.",
    "a call before the end is damaged": lambda m: dump(touch(m))[:-1],
    "a call after much that is harmless": lambda m: dump({"G_ema": [list(range(1000)), {"a": touch(m)}]}),
    "a pickle within a pickle": lambda m: dump({"G_ema": Call(pickle.loads, pickle.dumps(touch(m)))}),
    "a pickle of protocol 5 with a buffer": lambda m: b"\x80\x05\x97.",
    "a call in a state": lambda m: dump({**TREE, "G_ema": CallByState(touch(m))}),
    "a call in the arguments of a constructor": lambda m: dump(Call(OrderedDict, [("a", touch(m))])),
    "a call of what a call returned": lambda m: dump(touch(m))[:-1] + b")R.",
    "a call of a dictionary": lambda m: b"\x80\x02})R.",
    "a numpy array of objects": lambda m: dump({"G_ema": np.array([touch(m), 1], dtype=object)}),
    "a numpy array of records": lambda m: dump({"G_ema": np.zeros(2, dtype=[("a", "f4"), ("b", "O")])}),
    "a class within a module's name": lambda m: global_call("collections", "OrderedDict.fromkeys.__self__", "a"),
    "globals of a known function": lambda m: global_call(
        "torch_utils.persistence", "_reconstruct_persistent_obj.__globals__.get", "os"
    ),
    "a module that looks like a known one": lambda m: global_call(
        "torch_utils.persistence ", "_reconstruct_persistent_obj"
    ),
    "state set on a known function": lambda m: b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}U\x0c__defaults__Nsb.",
    "state set on a known class": lambda m: b"\x80\x02ccollections\nOrderedDict\nN}U\x06updateNs\x86b.",
    "an encoder that runs": lambda m: global_call("_codecs", "encode", "x", "idna"),
    "a call in a module's state": lambda m: dump({"G_ema": foreign.Persistent("Generator", _modules=touch(m))}),
    "a call among a module's tensors": lambda m: dump(
        {"G_ema": foreign.Persistent("Generator", _parameters=OrderedDict(x=touch(m)))}
    ),
    "a call for the source of a module": lambda m: dump({"G_ema": foreign.Persistent("Generator", source=touch(m))}),  # type: ignore[arg-type]
    "a call in an EasyDict": lambda m: dump({"G_ema": foreign.EasyDict(a=touch(m))}),
    "a call in a TensorFlow network": lambda m: dump((foreign.Network(variables=[("x", touch(m))]),) * 3),
    "a call for the source of a TensorFlow network": lambda m: dump((foreign.Network(build_module_src=touch(m)),) * 3),
    "nested torch bytes that are a pickle": lambda m: dump(Call(torch.storage._load_from_bytes, dump(touch(m)))),
    "nested torch bytes, legacy": lambda m: dump(Call(torch.storage._load_from_bytes, legacy(dump(touch(m), 2)))),
    "nested torch bytes, zip": lambda m: dump(
        Call(torch.storage._load_from_bytes, zipped(data_pkl=dump(touch(m), 2), version=b"3"))
    ),
    "nested torch bytes, hostile keys": lambda m: dump(
        Call(torch.storage._load_from_bytes, legacy(persistent(STORAGE), dump(touch(m), 2)))
    ),
    "nested torch bytes in nested torch bytes": lambda m: dump(
        Call(torch.storage._load_from_bytes, legacy(dump(Call(torch.storage._load_from_bytes, legacy(b"\x80\x02N."))))),
    ),
    "nested torch bytes beside a good generator": lambda m: dump(
        {"G_ema": foreign.generator(toy_state()), "D": Call(torch.storage._load_from_bytes, legacy(dump(touch(m), 2)))}
    ),
    "torch zip": lambda m: zipped(data_pkl=dump({"g_ema": touch(m)}, 2), version=b"3"),
    "torch zip with hostile training options": lambda m: zipped(
        data_pkl=dump({"g_ema": {}, "args": argparse.Namespace(path=touch(m))}, 2), version=b"3"
    ),
    "torch zip with a whole module": lambda m: zipped(
        data_pkl=persistent(("module", 1, "model.py", "import os")), version=b"3"
    ),
    "torch zip with a reference to a call": lambda m: zipped(data_pkl=dump(touch(m), 2)[:-1] + b"Q.", version=b"3"),
    "torch legacy": lambda m: legacy(dump({"g_ema": touch(m)}, 2)),
    "torch legacy with a whole module": lambda m: legacy(persistent(("module", 1, "model.py", "import os"))),
    "torch legacy with hostile keys": lambda m: legacy(b"\x80\x02}.", dump(touch(m), 2)),
    "a reference out of a bare pickle": lambda m: persistent(STORAGE),
    "torch.hub.load": lambda m: global_call("torch.hub", "load", "user/repository", "model"),
    "torch.load": lambda m: global_call("torch.serialization", "load", str(m)),
    "torch's own module": lambda m: dump({"G_ema": torch.nn.Linear(2, 2)}),
    "functools.partial": lambda m: global_call("functools", "partial", "x"),
    "operator.methodcaller": lambda m: global_call("operator", "methodcaller", "system"),
    "runpy": lambda m: global_call("runpy", "_run_code", "import os", {}),
    "timeit": lambda m: global_call("timeit", "timeit", "import os"),
    "pip": lambda m: global_call("pip._internal", "main", ["install", "x"]),
    "numpy's runstring": lambda m: global_call("numpy.testing._private.utils", "runstring", "import os", {}),
    "numpy.load": lambda m: global_call("numpy", "load", str(m)),
    "pathlib": lambda m: dump({"state_dict": {}, "opts": {"path": Path("x")}}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_file_that_calls_something_is_refused_and_calls_nothing(name: str, tmp_path: Path) -> None:
    marker, path, out = tmp_path / "marker", tmp_path / "network.pkl", tmp_path / "out.safetensors"
    path.write_bytes(CALLS[name](marker))
    for use in (checkpoints.read, checkpoints.inspect, textmorph.load_generator, lambda p: checkpoints.convert(p, out)):
        with pytest.raises(UnsafeCheckpointError) as caught:
            use(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert len(message) < len(str(path)) + 300
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "name", ["os.system in __reduce__", "builtins.exec", "the INST instruction", "a pickle within a pickle"]
)
def test_the_payloads_are_armed(name: str, tmp_path: Path) -> None:
    """The standard library's unpickler does run them: the test above can fail."""
    marker = tmp_path / "marker"
    content = CALLS[name](marker)
    with foreign.borrowed():
        pickle.loads(content)
    assert marker.exists()


def test_the_refusal_names_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, name in (
        (dump(touch(tmp_path / "marker")), rf"{os.system.__module__}\.system"),
        (dump(Call(exec, "")), r"builtins\.exec"),
        (global_call("a\nb", "c\x1b[31m"), r"a\\nb\.c\\x1b"),
        (global_call("a" * 250, "b"), r"aaa\.\.\."),
    ):
        path.write_bytes(content)
        with pytest.raises(UnsafeCheckpointError, match=name):
            checkpoints.read(path)


def test_a_generator_with_hostile_source_code_is_read_and_its_code_dropped(tmp_path: Path) -> None:
    """Every genuine file has source code in it; what it says makes no difference."""
    marker = tmp_path / "marker"
    source = f"open({str(marker)!r}, 'w').close()\n"
    written = toy_generator(8)
    root = foreign.generator(foreign.to_nvidia(written.state_dict()))
    for module in _all(root):
        module.meta["module_src"] = source
    path = foreign.write_pickle(tmp_path / "network.pkl", {"G_ema": root})
    assert source.encode() in path.read_bytes()
    loaded: Any = textmorph.load_generator(path)
    assert torch.equal(loaded.mapping.layers[0].weight, written.mapping.layers[0].weight)
    networks = foreign.to_tensorflow(written.state_dict(), {})
    for network in networks:
        network.state["build_module_src"] = source
    textmorph.load_generator(foreign.write_pickle(tmp_path / "tf.pkl", networks))
    assert not marker.exists()


def _all(module: foreign.Persistent) -> list[foreign.Persistent]:
    return [module, *(inner for child in module.state["_modules"].values() for inner in _all(child))]


# Files that take memory or time


def tensor_call(shape: object, stride: object, offset: object = 0, storage: object = None) -> Call:
    stored = torch.zeros(4).untyped_storage() if storage is None else storage
    return Call(torch._utils._rebuild_tensor_v2, _Typed(stored), offset, shape, stride, False, OrderedDict())


class _Typed:
    """Pickles as a storage of four floats."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def __reduce__(self) -> tuple[Any, ...]:
        content = legacy(persistent_storage(4), pickle.dumps(["0"], 2)) + struct.pack("<q4f", 4, 1, 2, 3, 4)
        return torch.storage._load_from_bytes, (content,)


def persistent_storage(numel: object, key: object = "0") -> bytes:
    reference = pickle.dumps(("storage", 0, key, "cpu", numel), 2)
    return reference.replace(b"K\x00", b"ctorch\nFloatStorage\n", 1)[:-1] + b"Q."


def with_tensor(call: Call) -> bytes:
    """A generator in which one tensor is something else."""
    state: dict[str, Any] = dict(toy_state())
    root = foreign.generator(state)
    mapping = root.state["_modules"]["mapping"]
    mapping.state["_modules"]["fc0"].state["_parameters"]["bias"] = call
    return dump({"G_ema": root})


def with_option(**options: Any) -> bytes:
    return dump({"G_ema": foreign.generator(toy_state(), options)})


def doubled(kind: Callable[[list[Any]], Any] = list, depth: int = 60) -> Any:
    """A container that holds the one before it twice, and so on: small in a file, endless as a text or a hash."""
    value = kind([])
    for _ in range(depth):
        value = kind([value, value])
    return value


def bomb(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", dump({"g_ema": {}}, 2))
        archive.writestr("archive/data/0", b"\0" * size)
    return file.getvalue()


def lying_zip() -> bytes:
    """An entry whose size in the directory is not its own."""
    content = zipped(data_pkl=dump({"g_ema": {}}, 2), version=b"3")
    place = content.rindex(b"PK\x01\x02")
    place = content.rindex(b"PK\x01\x02", 0, place)
    return content[: place + 24] + struct.pack("<I", 60) + content[place + 28 :]


def twice_the_same_name() -> bytes:
    content = zipped(data_pkl=dump({"g_ema": {}}, 2), data_pkL=dump({"g_ema": {"a": 1}}, 2))
    return content.replace(b"data_pkL", b"data.pkl")


def deep(opening: bytes, depth: int, closing: bytes) -> bytes:
    return b"\x80\x02" + opening * depth + b"N" + closing * depth + b"."


def nested_modules(depth: int) -> bytes:
    inner = foreign.Persistent("Generator", _modules={})
    for _ in range(depth):
        inner = foreign.Persistent("Generator", _modules={"a": inner, "b": inner})
    return dump({"G_ema": inner})


def holding_itself(names: int) -> bytes:
    """A module whose children are all itself."""
    children = b"".join(b"U\x04" + f"{i:04}".encode() + b"h\x01" for i in range(names))
    meta = b"}(U\x05state}U\x08_modulesh\x00sU\x0aclass_nameU\x09Generatoru"
    made = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n(" + meta + b"tRq\x01"
    return b"\x80\x02}q\x000" + made + b"0h\x00(" + children + b"u0}U\x05G_emah\x01s."


def packed(method: int, size: int) -> bytes:
    """A torch file whose pickle states 64 bytes and unfolds to very many."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"N0" * (size // 2) + b"N.")
    content = file.getvalue()
    place = content.rindex(b"PK\x01\x02")
    return content[: place + 24] + struct.pack("<I", 64) + content[place + 28 :]


def two_sizes() -> bytes:
    """A stored part whose two sizes differ."""
    content = zipped(data_pkl=dump({"g_ema": {}}, 2))
    place = content.rindex(b"PK\x01\x02")
    return content[: place + 20] + struct.pack("<I", 60) + content[place + 24 :]


def memoised(value: bytes, call: bytes, times: int) -> bytes:
    """A value once, and a call that names it very often."""
    return b"\x80\x04" + value + b"q\x000(" + call * times + b"l."


def of_bytes(size: int) -> bytes:
    return b"\x8e" + struct.pack("<Q", size) + b"a" * size


def keys_of_one_hash(number: int) -> bytes:
    keys = ((k * (2**61 - 1)).to_bytes(12, "little", signed=True) for k in range(1, number))
    return b"\x80\x02}(" + b"".join(b"\x8a\x0c" + key + b"N" for key in keys) + b"u."


def big_dictionary(number: int) -> bytes:
    return b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(number)) + b"u"


BOMBS: dict[str, Callable[[], bytes]] = {
    "a torch file packed by bzip2": lambda: packed(zipfile.ZIP_BZIP2, 1 << 21),
    "a torch file packed by LZMA": lambda: packed(zipfile.ZIP_LZMA, 1 << 22),
    "a torch file packed by deflate": lambda: packed(zipfile.ZIP_DEFLATED, 1 << 26),
    "a part of two sizes": two_sizes,
    "a text encoded again and again": lambda: memoised(
        b"X" + struct.pack("<I", 1 << 22) + b"a" * (1 << 22), b"c_codecs\nencode\nh\x00\x8c\x06latin1\x86R", 600
    ),
    "a set of bytes again and again": lambda: memoised(of_bytes(1 << 21), b"cbuiltins\nset\nh\x00\x85R", 200),
    "a size of bytes again and again": lambda: memoised(of_bytes(1 << 21), b"ctorch\nSize\nh\x00\x85R", 200),
    "a frozenset of bytes, twice": lambda: memoised(of_bytes(1 << 24), b"cbuiltins\nfrozenset\nh\x00\x85R", 2),
    "a torch file read again and again": lambda: memoised(
        b"\x8e"
        + struct.pack("<Q", 1 << 20)
        + b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
        + b"\x80\x02"
        + b"N0" * ((1 << 19) - 8),
        b"ctorch.storage\n_load_from_bytes\nh\x00\x85R",
        200,
    ),
    "a dictionary copied again and again": lambda: memoised(
        big_dictionary(50_000), b"ccollections\nOrderedDict\nh\x00\x85R", 10_000
    ),
    "a dictionary of one a thousand times": lambda: memoised(
        big_dictionary(50_000), b"ccollections\nOrderedDict\n(" + b"h\x00" * 10_000 + b"tR", 10
    ),
    "arguments without end, again and again": lambda: memoised(
        b"(" + b"N" * 100_000 + b"t", b"cargparse\nNamespace\nh\x00R", 10_000
    ),
    "keys of one hash": lambda: keys_of_one_hash(100_000),
    "a tensor of a shape without end": lambda: with_tensor(tensor_call((1 << 31,) * 900_000, (1,))),
    "a tensor of sides of a megabyte": lambda: with_tensor(tensor_call((1 << (1 << 23),) * 8, (1,) * 8)),
    "an array of a shape without end": lambda: global_call(
        "numpy._core.numeric", "_frombuffer", b"abcd", 0, (1 << 31,) * 900_000, "C"
    ),
    "a zip that unfolds": lambda: bomb(1 << 26),
    "a zip that lies about a size": lying_zip,
    "a zip with two entries of one name": twice_the_same_name,
    "a zip within the zip": lambda: zipped(data_pkl=zipped(data_pkl=dump({"g_ema": {}}, 2))),
    "bytes longer than the file": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc",
    "text longer than the file": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"abc.",
    "a frame longer than the file": lambda: b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    "a number of 2 GB": lambda: b"\x80\x02\x8b" + struct.pack("<I", (1 << 31) - 1) + b"\x01.",
    "a memo of 2^32 places": lambda: b"\x80\x02Nr\xff\xff\xff\xff.",
    "a memo that is empty": lambda: b"\x80\x02j\xff\xff\xff\xff.",
    "tuples in tuples as a key": lambda: b"\x80\x02})" + b"2\x86" * 200 + b"Ns.",
    "lists in lists": lambda: deep(b"]", 30_000, b"a"),
    "tuples in tuples": lambda: deep(b"(", 30_000, b"t"),
    "modules in modules": lambda: nested_modules(40),
    "a module that holds itself": lambda: holding_itself(1),
    "a module that holds itself a hundred times": lambda: holding_itself(100),
    "an option of lists that hold each other": lambda: with_option(activation=doubled()),
    "a clamp of lists that hold each other": lambda: with_option(conv_clamp=doubled()),
    "an architecture of tuples that hold each other": lambda: with_option(architecture=doubled(tuple)),
    "keys of lists that hold each other": lambda: legacy(b"\x80\x02}.", dump([doubled()], 2)),
    "a list twice in a list, 200 deep": lambda: b"\x80\x02]" + b"q\x00]h\x00ah\x00a" * 200 + b".",
    "a tensor of 2^60 values": lambda: with_tensor(tensor_call((1 << 60,), (1,))),
    "a tensor of 2^40 values in one": lambda: with_tensor(tensor_call((1 << 20, 1 << 20), (0, 0))),
    "a tensor of many dimensions": lambda: with_tensor(tensor_call((1,) * 100, (1,) * 100)),
    "a tensor of negative size": lambda: with_tensor(tensor_call((-1,), (1,))),
    "a tensor before its storage": lambda: with_tensor(tensor_call((2,), (1,), offset=-1)),
    "a tensor behind its storage": lambda: with_tensor(tensor_call((2,), (1,), offset=3)),
    "a tensor with a stride backwards": lambda: with_tensor(tensor_call((2,), (-1,), offset=1)),
    "a tensor whose shape is text": lambda: with_tensor(tensor_call("12", (1,))),
    "a tensor without a storage": lambda: with_tensor(
        Call(torch._utils._rebuild_tensor_v2, None, 0, (1,), (1,), 0, None)
    ),
    "a storage of 2^60 values": lambda: (
        legacy(persistent_storage(1 << 60), pickle.dumps(["0"], 2)) + struct.pack("<q", 1 << 60)
    ),
    "a storage of negative size": lambda: (
        legacy(persistent_storage(-1), pickle.dumps(["0"], 2)) + struct.pack("<q", -1)
    ),
    "a storage that is not there": lambda: zipped(data_pkl=persistent_storage(4), version=b"3"),
    "a storage out of the archive": lambda: zipped(data_pkl=persistent_storage(4, "../../../etc/passwd"), version=b"3"),
    "a numpy array larger than its bytes": lambda: global_call(
        "numpy._core.numeric", "_frombuffer", b"abcd", 0, (1 << 40,), "C"
    ),
    "a header of 2^60 bytes": lambda: struct.pack("<Q", 1 << 60) + b"{" + b" " * 20,
    "a header of nested lists": lambda: _safetensors({"textmorph": "[" * 100_000}),
    "a header that is no dictionary": lambda: _safetensors({"textmorph": "[1]"}),
    "a header of a later version": lambda: _safetensors({"textmorph": json.dumps({"version": 99})}),
    "tensors that overlap": lambda: _raw_safetensors({name: [0, 4] for name in "ab"}, b"\0\0\0\0"),
    "tensors behind the end": lambda: _raw_safetensors({"a": [0, 1 << 40]}, b"\0\0\0\0"),
}


def _safetensors(metadata: dict[str, str]) -> bytes:
    from safetensors.torch import save

    return save({"x": torch.zeros(1)}, metadata)


def _raw_safetensors(places: dict[str, list[int]], content: bytes) -> bytes:
    entries = {name: {"dtype": "F32", "shape": [1], "data_offsets": place} for name, place in places.items()}
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_soon(name: str, tmp_path: Path) -> None:
    path, out = tmp_path / "network.pkl", tmp_path / "out.safetensors"
    path.write_bytes(BOMBS[name]())
    start = time.process_time()
    for use in (checkpoints.read, textmorph.load_generator, lambda p: checkpoints.convert(p, out)):
        with pytest.raises(CheckpointError):
            use(path)
    assert time.process_time() - start < 5  # any of them, gone off, takes minutes or the machine's memory
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_many_views_of_one_block_do_not_multiply_it(tmp_path: Path) -> None:
    block = torch.zeros(1 << 20)
    path = foreign.write_torch(tmp_path / "file.pt", {str(i): block[:] for i in range(100)})
    content = checkpoints.open_file(path)
    with pytest.raises(UnsafeCheckpointError, match="far more memory"):
        for name, record in content.tree.items():
            content.tensor(name, record)


def test_a_pickle_of_endless_instructions_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmorph.checkpoints.inert_pickle.MAX_OPCODES", 1000)
    (tmp_path / "file").write_bytes(b"\x80\x02" + b"N0" * 1000 + b"N.")
    with pytest.raises(UnsafeCheckpointError, match="more than 1000 instructions"):
        checkpoints.read(tmp_path / "file")


@pytest.mark.parametrize("name", ["bzip2", "LZMA", "deflate"])
def test_a_part_of_a_torch_file_that_is_packed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.pt").write_bytes(BOMBS[f"a torch file packed by {name}"]())
    with pytest.raises(UnsafeCheckpointError, match=r"archive/data.pkl"):
        checkpoints.read(tmp_path / "file.pt")


def test_a_pickle_that_copies_what_it_holds_once_is_read(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, 1 << 22, dtype=np.uint8)
    for protocol in (2, 4):
        (tmp_path / "file.pkl").write_bytes(
            pickle.dumps({"a": array, "sizes": {i: set(range(9)) for i in range(9)}}, protocol)
        )
        content = checkpoints.open_file(tmp_path / "file.pkl")
        assert content.tensor("a", content.tree["a"]).numpy().tolist() == array.tolist()


def test_more_than_thirty_kinds() -> None:
    assert len(CALLS) >= 30
