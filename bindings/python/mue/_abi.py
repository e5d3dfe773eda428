"""The structs, constants and functions of include/mue.h, for ctypes."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint64, c_void_p

EXITS_OFF, EXITS_CALIBRATED, EXITS_THRESHOLDS = 0, 1, 2
RULES = {"row": 0, "joint": 1}
SCHEDULES = {"constant": 0, "paper": 1, "released": 2}
NORMALIZATIONS = {None: 0, "vocabulary": 1, "answers": 2}
OFF = -1
STREAM_IMAGE, STREAM_TEXT, STREAM_DECODER = 0, 1, 2
LOG_WARNING = 1
TRACE_OPERATORS = 0
MAX_RANK = 32


class SizedStructure(Structure):
    """A struct that starts with its own size, as the header's _INIT macros leave it."""

    def __init__(self, **fields: object) -> None:
        super().__init__(**fields)
        self.struct_size = ctypes.sizeof(self)


class String(Structure):
    _fields_ = [("data", c_char_p), ("length", c_size_t)]


class Tensor(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("name_length", c_size_t),
        ("data", c_void_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
    ]


class TensorInfo(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("shape", POINTER(c_int64)),
        ("dimension_names", POINTER(c_char_p)),
    ]


class Limits(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("model_bytes", c_uint64),
        ("nodes", c_uint64),
        ("tensor_elements", c_uint64),
        ("nesting", c_uint64),
        ("sequence_length", c_uint64),
        ("image_pixels", c_uint64),
        ("batch", c_uint64),
    ]


LogCallback = CFUNCTYPE(None, c_int32, c_void_p, c_size_t, c_void_p)


class ModelOptions(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("limits", POINTER(Limits)),
        ("threads", c_int32),
        ("inspect_only", c_int32),
        ("log", LogCallback),
        ("log_user", c_void_p),
        ("precision", c_int32),
        ("packed_cache", c_int32),
    ]


class Exits(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("mode", c_int32),
        ("rule", c_int32),
        ("image", c_double),
        ("text", c_double),
        ("decoder", c_double),
        ("schedule", c_int32),
        ("reserved", c_int32),
        ("beta", c_double),
        ("tau", c_double),
    ]


class Item(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("image", c_void_p),
        ("prompt", c_char_p),
        ("prompt_length", c_size_t),
        ("features", c_void_p),
    ]


class RequestOptions(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("exits", POINTER(Exits)),
        ("cancel", c_void_p),
        ("similarities", c_int32),
        ("normalization", c_int32),
    ]


class TokenEvent(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("item", c_size_t),
        ("token", c_int64),
        ("text", c_void_p),
        ("text_length", c_size_t),
        ("exit_layer", c_int32),
        ("reserved", c_int32),
    ]


TokenCallback = CFUNCTYPE(c_int32, POINTER(TokenEvent), c_void_p)


class GenerateOptions(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("exits", POINTER(Exits)),
        ("cancel", c_void_p),
        ("similarities", c_int32),
        ("beams", c_int32),
        ("max_tokens", c_int32),
        ("reserved", c_int32),
        ("on_token", TokenCallback),
        ("user", c_void_p),
        ("nbest", c_int32),
        ("no_repeat_ngram_size", c_int32),
        ("length_penalty", c_double),
        ("min_tokens", c_int32),
        ("reserved2", c_int32),
        ("answers", POINTER(String)),
        ("answer_count", c_size_t),
    ]


class Box(Structure):
    _fields_ = [("x0", c_double), ("y0", c_double), ("x1", c_double), ("y1", c_double)]


class Hypothesis(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("text", c_char_p),
        ("raw_text", c_char_p),
        ("tokens", POINTER(c_int64)),
        ("token_count", c_size_t),
        ("token_log_probabilities", POINTER(c_double)),
        ("decoder_exits", POINTER(c_int32)),
        ("step_count", c_size_t),
        ("log_probability", c_double),
        ("score", c_double),
        ("boxes", POINTER(Box)),
        ("box_count", c_size_t),
        ("is_finished", c_int32),
        ("reserved", c_int32),
    ]


class Report(SizedStructure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("image_exit", c_int32),
        ("text_exit", c_int32),
        ("image_depth", c_int32),
        ("text_depth", c_int32),
        ("decoder_depth", c_int32),
        ("threads", c_int32),
        ("etr", c_double),
        ("macs_run", c_int64),
        ("macs_full", c_int64),
        ("total_ms", c_double),
        ("image_decode_ms", c_double),
        ("stem_ms", c_double),
        ("encoder_ms", c_double),
        ("decoder_ms", c_double),
        ("head_ms", c_double),
        ("precision", c_char_p),
        ("cpu", c_char_p),
    ]


_HANDLE = c_void_p  # mue_model *, mue_session *, ...
_ERROR = c_void_p  # mue_error *
_COUNT = POINTER(c_size_t)

# Name: (what it returns, what it takes).
PROTOTYPES: dict[str, tuple[object, list[object]]] = {
    "mue_version": (c_int32, []),
    "mue_version_string": (c_char_p, []),
    "mue_build_info": (c_char_p, []),
    "mue_error_code": (c_int32, [_ERROR]),
    "mue_error_message": (c_char_p, [_ERROR]),
    "mue_error_description": (c_char_p, [_ERROR]),
    "mue_error_file": (c_char_p, [_ERROR]),
    "mue_error_byte_offset": (c_int64, [_ERROR]),
    "mue_error_field": (c_char_p, [_ERROR]),
    "mue_error_node": (c_char_p, [_ERROR]),
    "mue_error_operator": (c_char_p, [_ERROR]),
    "mue_error_argument": (c_char_p, [_ERROR]),
    "mue_error_free": (None, [_ERROR]),
    "mue_string_free": (None, [c_void_p]),
    "mue_system_info": (_ERROR, [POINTER(c_void_p)]),
    "mue_model_open": (_ERROR, [c_char_p, c_size_t, POINTER(ModelOptions), POINTER(_HANDLE)]),
    "mue_model_parse": (_ERROR, [c_char_p, c_size_t, POINTER(ModelOptions), POINTER(_HANDLE)]),
    "mue_model_free": (None, [_HANDLE]),
    "mue_model_input_count": (c_size_t, [_HANDLE]),
    "mue_model_output_count": (c_size_t, [_HANDLE]),
    "mue_model_input": (_ERROR, [_HANDLE, c_size_t, POINTER(TensorInfo)]),
    "mue_model_output": (_ERROR, [_HANDLE, c_size_t, POINTER(TensorInfo)]),
    "mue_model_inspect": (_ERROR, [_HANDLE, POINTER(c_void_p)]),
    "mue_image_from_file": (_ERROR, [c_char_p, c_size_t, POINTER(_HANDLE)]),
    "mue_image_from_encoded": (_ERROR, [c_char_p, c_size_t, POINTER(_HANDLE)]),
    "mue_image_from_rgb": (_ERROR, [c_void_p, c_size_t, c_size_t, c_size_t, POINTER(_HANDLE)]),
    "mue_image_from_tensor": (_ERROR, [POINTER(Tensor), POINTER(_HANDLE)]),
    "mue_image_free": (None, [_HANDLE]),
    "mue_image_write_png": (_ERROR, [_HANDLE, POINTER(Box), c_size_t, c_char_p, c_size_t]),
    "mue_cancel_create": (_ERROR, [POINTER(_HANDLE)]),
    "mue_cancel_trip": (None, [_HANDLE]),
    "mue_cancel_is_tripped": (c_int32, [_HANDLE]),
    "mue_cancel_free": (None, [_HANDLE]),
    "mue_session_create": (_ERROR, [_HANDLE, POINTER(_HANDLE)]),
    "mue_session_free": (None, [_HANDLE]),
    "mue_session_generate": (_ERROR, [_HANDLE, POINTER(Item), c_size_t, POINTER(GenerateOptions), POINTER(_HANDLE)]),
    "mue_session_encode_image": (_ERROR, [_HANDLE, _HANDLE, POINTER(RequestOptions), POINTER(_HANDLE)]),
    "mue_image_features_exit_layer": (c_int32, [_HANDLE]),
    "mue_image_features_free": (None, [_HANDLE]),
    "mue_session_score": (
        _ERROR,
        [_HANDLE, POINTER(Item), c_size_t, POINTER(String), c_size_t, POINTER(RequestOptions), POINTER(_HANDLE)],
    ),
    "mue_session_forward": (
        _ERROR,
        [_HANDLE, POINTER(Tensor), POINTER(Tensor), POINTER(Tensor), POINTER(RequestOptions), POINTER(_HANDLE)],
    ),
    "mue_session_run": (
        _ERROR,
        [_HANDLE, POINTER(Tensor), c_size_t, POINTER(String), c_size_t, _HANDLE, POINTER(_HANDLE)],
    ),
    "mue_session_trace_begin": (_ERROR, [_HANDLE, c_int32]),
    "mue_session_trace_end": (_ERROR, [_HANDLE, POINTER(c_void_p)]),
    "mue_result_free": (None, [_HANDLE]),
    "mue_result_count": (c_size_t, [_HANDLE]),
    "mue_result_text": (c_char_p, [_HANDLE, c_size_t]),
    "mue_result_tokens": (POINTER(c_int64), [_HANDLE, c_size_t, _COUNT]),
    "mue_result_log_probability": (c_double, [_HANDLE, c_size_t]),
    "mue_result_token_log_probabilities": (POINTER(c_double), [_HANDLE, c_size_t, _COUNT]),
    "mue_result_is_finished": (c_int32, [_HANDLE, c_size_t]),
    "mue_result_boxes": (POINTER(Box), [_HANDLE, c_size_t, _COUNT]),
    "mue_result_hypothesis_count": (c_size_t, [_HANDLE, c_size_t]),
    "mue_result_hypothesis": (_ERROR, [_HANDLE, c_size_t, c_size_t, POINTER(Hypothesis)]),
    "mue_result_answer_count": (c_size_t, [_HANDLE, c_size_t]),
    "mue_result_answer": (c_char_p, [_HANDLE, c_size_t, c_size_t]),
    "mue_result_answer_log_probabilities": (POINTER(c_double), [_HANDLE, c_size_t, _COUNT]),
    "mue_result_best_answer": (c_int64, [_HANDLE, c_size_t]),
    "mue_result_tensor_count": (c_size_t, [_HANDLE]),
    "mue_result_tensor": (_ERROR, [_HANDLE, c_size_t, POINTER(Tensor)]),
    "mue_result_tensor_by_name": (_ERROR, [_HANDLE, c_char_p, c_size_t, POINTER(Tensor)]),
    "mue_result_report": (_ERROR, [_HANDLE, c_size_t, POINTER(Report)]),
    "mue_result_decoder_exits": (POINTER(c_int32), [_HANDLE, c_size_t, _COUNT]),
    "mue_result_similarities": (POINTER(c_double), [_HANDLE, c_size_t, c_int32, c_size_t, _COUNT]),
    "mue_result_json": (_ERROR, [_HANDLE, POINTER(c_void_p)]),
}
