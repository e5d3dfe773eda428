"""The ctypes declarations against include/mue.h, as the C compiler sees it."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mue import _abi

HEADER = Path(__file__).resolve().parents[3] / "include" / "mue.h"
STRUCTS = {
    "mue_string": _abi.String,
    "mue_tensor": _abi.Tensor,
    "mue_tensor_info": _abi.TensorInfo,
    "mue_limits": _abi.Limits,
    "mue_model_options": _abi.ModelOptions,
    "mue_exits": _abi.Exits,
    "mue_item": _abi.Item,
    "mue_request_options": _abi.RequestOptions,
    "mue_token_event": _abi.TokenEvent,
    "mue_generate_options": _abi.GenerateOptions,
    "mue_report": _abi.Report,
    "mue_box": _abi.Box,
    "mue_hypothesis": _abi.Hypothesis,
}


def test_layout_is_the_compilers(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in struct._fields_:
            lines.append(
                f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
    source = tmp_path / "layout.c"
    source.write_text("#include <mue.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run([compiler, "-I", HEADER.parent, source, "-o", tmp_path / "layout"], check=True)
    printed = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout.split("\n")
    expected = []
    for name, struct in STRUCTS.items():
        expected.append(f"{name} {ctypes.sizeof(struct)}")
        for field, *_ in struct._fields_:
            place = getattr(struct, field)
            expected.append(f"{name}.{field} {place.offset} {place.size}")
    assert printed[:-1] == expected


def test_every_function_is_declared() -> None:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    declared = {
        name: 0 if arguments.strip() == "void" else arguments.count(",") + 1
        for name, arguments in re.findall(r"MUE_API[^;(]*?(mue_\w+)\(([^;]*)\);", text)
    }
    assert len(declared) > 40
    assert {name: len(arguments) for name, (_, arguments) in _abi.PROTOTYPES.items()} == declared


def test_constants_are_the_headers() -> None:
    constants = {name: int(value) for name, value in re.findall(r"#define (MUE_\w+) (\d+)\b", HEADER.read_text())}
    for rule, value in _abi.RULES.items():
        assert constants[f"MUE_RULE_{rule.upper()}"] == value
    for schedule, value in _abi.SCHEDULES.items():
        assert constants[f"MUE_SCHEDULE_{schedule.upper()}"] == value
    for name, value in _abi.NORMALIZATIONS.items():
        assert constants[f"MUE_NORMALIZE_{(name or 'default').upper()}"] == value
    assert re.search(rf"#define MUE_OFF \({_abi.OFF}\)", HEADER.read_text())
    for name in ("EXITS_OFF", "EXITS_CALIBRATED", "EXITS_THRESHOLDS", "STREAM_IMAGE", "STREAM_TEXT",
                 "STREAM_DECODER", "LOG_WARNING", "TRACE_OPERATORS", "MAX_RANK"):
        assert constants[f"MUE_{name}"] == getattr(_abi, name)


def test_error_codes_are_the_headers() -> None:
    from mue.errors import BY_CODE

    codes = {int(value) for value in re.findall(r"#define MUE_E_\w+ (\d+)\b", HEADER.read_text())}
    assert set(BY_CODE) == codes
