from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike

from . import _abi, exits as exits_module
from ._library import Library, encoded, int32
from .cancel import CancelToken, handle_of
from .errors import InvalidArgumentError
from .exits import ExitsLike
from .images import Askable, ImageFeatures, ImageLike, askable, image as image_of
from .results import ForwardResult, Generation, Next, ResultReader, Scoring, TokenCallback, TokenEvent
from .tensors import DTYPES, Loan
from .traces import traced

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Path: TypeAlias = "str | os.PathLike[str]"


@dataclass(frozen=True)
class TensorInfo:
    """What a model says about one of its inputs or outputs.

    Attributes:
        name: its name.
        dtype: its NumPy type; None for one that NumPy lacks (bfloat16).
        shape: sizes; a name or None stands for a dynamic dimension.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str | None, ...]


class Model:
    """A model, made by `mue.open` or `mue.load_graph`. Close it, or use it in a `with` block.

    May be used from many threads at once: each request takes a session of its own from a pool that grows as needed.
    A callback may use the model again. Requests run without Python's global lock; a request without callback hears of
    Ctrl-C when it returns, unless a `CancelToken` is tripped.

    Images are a path, the bytes of a file, a PIL image, a uint8 array [height, width, 3], or a `mue.Image`. One
    question gives one result. Lists of images or prompts run as one batch and give a list: one prompt serves all
    images, one image all prompts, otherwise they go in pairs.
    """

    def __init__(self, library: Library, handle: int) -> None:
        self._library = library
        self._handle = handle
        self._lock = threading.Lock()
        self._idle: list[int] = []
        self._users = 0
        self._is_closed = False

    # Requests

    @overload
    def generate(
        self,
        image: Askable,
        prompt: str | None = None,
        *,
        exits: ExitsLike = "off",
        beams: int = 0,
        max_tokens: int = 0,
        nbest: int = 1,
        no_repeat_ngram_size: int | None = None,
        length_penalty: float | None = None,
        min_tokens: int | None = None,
        answers: Sequence[str] | None = None,
        on_token: TokenCallback | None = None,
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Generation: ...

    @overload
    def generate(
        self,
        image: Askable | Sequence[Askable],
        prompt: str | Sequence[str] | None = None,
        *,
        exits: ExitsLike = "off",
        beams: int = 0,
        max_tokens: int = 0,
        nbest: int = 1,
        no_repeat_ngram_size: int | None = None,
        length_penalty: float | None = None,
        min_tokens: int | None = None,
        answers: Sequence[str] | None = None,
        on_token: TokenCallback | None = None,
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Generation | list[Generation]: ...

    def generate(
        self,
        image: Askable | Sequence[Askable],
        prompt: str | Sequence[str] | None = None,
        *,
        exits: ExitsLike = "off",
        beams: int = 0,
        max_tokens: int = 0,
        nbest: int = 1,
        no_repeat_ngram_size: int | None = None,
        length_penalty: float | None = None,
        min_tokens: int | None = None,
        answers: Sequence[str] | None = None,
        on_token: TokenCallback | None = None,
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Generation | list[Generation]:
        """Answers questions about images in text.

        Args:
            image: one image or its `ImageFeatures`, or a list of either.
            prompt: the question, or a list; None takes the model's default prompt (captioning).
            exits: "off" (full depth), "calibrated" (thresholds of the model's mue.json), three thresholds
                (image, text, decoder) of which 1 or more is never, or `mue.Exits`.
            beams: 1 is greedy search. This and what follows is taken from the model's files where it is 0 or None.
            max_tokens: most tokens to generate, the end token not counted.
            nbest: hypotheses to return, at most as many as beams.
            no_repeat_ngram_size: no sequence of so many tokens comes twice; 0 allows all.
            length_penalty: hypotheses are ranked by log-probability / tokens^length_penalty; 0: by log-probability.
            min_tokens: tokens before the end token may come.
            answers: the only answers that may be given, to the letter.
            on_token: called with a `TokenEvent` for each token that was chosen, on this thread; returns None or a
                `Next`. An exception in it ends the request and is raised here. Only with greedy search.
            cancel: a token that ends the request from another thread.
            similarities: keep the similarity after every layer that ran.
            trace: a file to write a Chrome trace of the request to, with a span for every operator.

        Raises:
            InvalidArgumentError, NotFoundError, ReadError, InvalidImageError, InvalidTextError, LimitError,
            UnsupportedError (a model that does not generate), CancelledError.
        """
        is_single, items, _kept = _items(image, prompt)
        native_exits = exits_module.native(exits)
        options = _abi.GenerateOptions(
            exits=ctypes.pointer(native_exits),
            cancel=handle_of(cancel),
            similarities=int(bool(similarities)),
            beams=int32(beams, "beams"),
            max_tokens=int32(max_tokens, "max_tokens"),
            nbest=int32(nbest, "nbest"),
            no_repeat_ngram_size=_setting(no_repeat_ngram_size, "no_repeat_ngram_size"),
            length_penalty=_penalty(length_penalty),
            min_tokens=_setting(min_tokens, "min_tokens"),
        )
        if answers is not None:
            names, _kept_names = _strings(answers, "answers")
            if not names:
                raise InvalidArgumentError("answers is empty", argument="answers")
            options.answers, options.answer_count = ctypes.cast(names, ctypes.POINTER(_abi.String)), len(names)
        raised: list[BaseException] = []
        if on_token is not None:
            options.on_token = _native_callback(on_token, raised)
        if not items:
            return []
        with self._session(trace) as session:
            try:
                handle = self._library.create(
                    "mue_session_generate", session, items, len(items), ctypes.byref(options))
            except Exception:
                if raised:
                    raise raised[0] from None
                raise
        with ResultReader(self._library, handle) as result:
            answers = [result.generation(index, similarities) for index in range(len(result))]
        return answers[0] if is_single else answers

    @overload
    def score(
        self,
        image: Askable,
        prompt: str | None,
        answers: Sequence[str],
        *,
        normalize: Literal["vocabulary", "answers"] | None = None,
        exits: ExitsLike = "off",
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Scoring: ...

    @overload
    def score(
        self,
        image: Askable | Sequence[Askable],
        prompt: str | Sequence[str] | None,
        answers: Sequence[str],
        *,
        normalize: Literal["vocabulary", "answers"] | None = None,
        exits: ExitsLike = "off",
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Scoring | list[Scoring]: ...

    def score(
        self,
        image: Askable | Sequence[Askable],
        prompt: str | Sequence[str] | None,
        answers: Sequence[str],
        *,
        normalize: Literal["vocabulary", "answers"] | None = None,
        exits: ExitsLike = "off",
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> Scoring | list[Scoring]:
        """Scores a closed set of answers, such as [" yes", " no", " maybe"] or thousands of longer ones, as continuations
        for each question.

        Args:
            normalize: over what each token's probability is taken: the whole "vocabulary", or the tokens that go on with
                one of the "answers", as OFA does; None takes what the model says.

        Other arguments and errors as `generate`.
        """
        is_single, items, _kept = _items(image, prompt)
        names, _kept_names = _strings(answers, "answers")
        native_exits = exits_module.native(exits)
        options = _request_options(native_exits, cancel, similarities)
        if normalize not in _abi.NORMALIZATIONS:
            raise InvalidArgumentError(
                f"normalize is {normalize!r}, neither 'vocabulary' nor 'answers'", argument="normalize")
        options.normalization = _abi.NORMALIZATIONS[normalize]
        if not items:
            return []
        with self._session(trace) as session:
            handle = self._library.create(
                "mue_session_score", session, items, len(items), names, len(names), ctypes.byref(options))
        with ResultReader(self._library, handle) as result:
            scorings = [result.scoring(index, similarities) for index in range(len(result))]
        return scorings[0] if is_single else scorings

    def encode_image(
        self,
        image: ImageLike,
        *,
        exits: ExitsLike = "off",
        cancel: CancelToken | None = None,
    ) -> ImageFeatures:
        """Runs the image stream alone, for many prompts about one image: pass the features in place of the image.

        Whether the image stream stops early is decided here. Exact only for a decomposed encoder, whose image tokens
        do not see the prompt.

        Args:
            image: one image.
            exits, cancel: as `generate`.

        Raises:
            UnsupportedError (the encoder attends across image and text), and what `generate` raises about images.
        """
        source = image_of(image)
        native_exits = exits_module.native(exits)
        options = _request_options(native_exits, cancel, False)
        with self._session() as session:
            return ImageFeatures(self._library.create(
                "mue_session_encode_image", session, source._handle, ctypes.byref(options)))

    def forward(
        self,
        pixel_values: ArrayLike,
        input_ids: ArrayLike,
        decoder_input_ids: ArrayLike,
        *,
        exits: ExitsLike = "off",
        cancel: CancelToken | None = None,
        similarities: bool = False,
        trace: Path | None = None,
    ) -> ForwardResult:
        """One teacher-forced pass on tensors.

        Args:
            pixel_values: floats [batch, 3, height, width], resized and normalised as the model takes them.
            input_ids: integers [batch, text length].
            decoder_input_ids: integers [batch, decoder length].
            exits, cancel, similarities, trace: as `generate`.

        Raises:
            InvalidArgumentError, LimitError, UnsupportedError, CancelledError.
        """
        pixels = Loan(_cast(pixel_values, "f", np.float32, "pixel_values"), "pixel_values")
        text = Loan(_cast(input_ids, "iu", np.int64, "input_ids"), "input_ids")
        decoder = Loan(_cast(decoder_input_ids, "iu", np.int64, "decoder_input_ids"), "decoder_input_ids")
        native_exits = exits_module.native(exits)
        options = _request_options(native_exits, cancel, similarities)
        with self._session(trace) as session:
            handle = self._library.create(
                "mue_session_forward", session, pixels.struct, text.struct, decoder.struct, ctypes.byref(options))
        with ResultReader(self._library, handle) as result:
            return result.forward(similarities)

    def run(
        self,
        inputs: Mapping[str, ArrayLike],
        outputs: Sequence[str] | None = None,
        *,
        cancel: CancelToken | None = None,
        trace: Path | None = None,
    ) -> dict[str, Array]:
        """Runs the whole graph as it stands, as a plain ONNX runtime.

        Args:
            inputs: an array for each input, of the dtype that the model declares.
            outputs: names of the wanted outputs; None for all, in the model's order.
            cancel: a token that ends the run from another thread.
            trace: as `generate`.

        Returns:
            The outputs by name. bfloat16 arrives as float32.

        Raises:
            InvalidArgumentError, InvalidModelError, UnsupportedError, LimitError, CancelledError.
        """
        loans = [Loan(value, f"inputs['{name}']", name) for name, value in inputs.items()]
        tensors = (_abi.Tensor * len(loans))(*(loan.struct for loan in loans))
        names, _kept_names = _strings(() if outputs is None else outputs, "outputs")
        if outputs is not None and not names:
            return {}
        with self._session(trace) as session:
            handle = self._library.create(
                "mue_session_run", session, tensors, len(loans), names, len(names), handle_of(cancel))
        with ResultReader(self._library, handle) as result:
            return result.tensors()

    # What the model says about itself

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph's inputs."""
        return self._infos("input")

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph's outputs."""
        return self._infos("output")

    def inspect(self) -> dict[str, Any]:
        """What `mue inspect --json` prints: streams, layers, parameters, operators, what is not supported and where."""
        with self._using():
            result: dict[str, Any] = self._library.json("mue_model_inspect", self._handle)
            return result

    # Closing

    def close(self) -> None:
        """Frees the model; requests that run on other threads end first. Closing again does nothing."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            model = self._take_handle_if_unused()
        self._free(idle, model)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # __init__ has not run when `Model` was given wrong arguments.
        if hasattr(self, "_is_closed"):
            self.close()

    def __repr__(self) -> str:
        return f"<mue.Model at {id(self):#x}{', closed' if self._is_closed else ''}>"

    # Handles

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Keeps the model's memory during the block."""
        with self._lock:
            if self._is_closed:
                raise InvalidArgumentError("the model is closed", argument="model")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                idle: list[int] = []
                if self._is_closed:
                    idle, self._idle = self._idle, []
                model = self._take_handle_if_unused()
            self._free(idle, model)

    @contextlib.contextmanager
    def _session(self, trace: Path | None = None) -> Iterator[int]:
        """A session that nobody else uses: the one used last, or a new one. What it does is traced to a file if asked."""
        with self._using():
            with self._lock:
                session = self._idle.pop() if self._idle else 0
            session = session or self._library.create("mue_session_create", self._handle)
            try:
                with contextlib.nullcontext() if trace is None else traced(self._library, session, trace):
                    yield session
            finally:
                with self._lock:
                    self._idle.append(session)

    def _take_handle_if_unused(self) -> int:
        """The model's handle when it is to be freed now, else 0. With the lock held."""
        if not self._is_closed or self._users:
            return 0
        handle, self._handle = self._handle, 0
        return handle

    def _free(self, sessions: list[int], model: int) -> None:
        for session in sessions:
            self._library.mue_session_free(session)
        if model:
            self._library.mue_model_free(model)

    def _infos(self, kind: str) -> tuple[TensorInfo, ...]:
        with self._using():
            infos = []
            for index in range(getattr(self._library, f"mue_model_{kind}_count")(self._handle)):
                info = _abi.TensorInfo()
                self._library.call(f"mue_model_{kind}", self._handle, index, ctypes.byref(info))
                shape = tuple(
                    info.shape[axis] if info.shape[axis] >= 0 else info.dimension_names[axis].decode() or None
                    for axis in range(info.rank)
                )
                infos.append(TensorInfo(info.name.decode(), DTYPES.get(info.dtype), shape))
            return tuple(infos)


def _items(image: object, prompt: object) -> tuple[bool, ctypes.Array[_abi.Item], list[object]]:
    """Whether it is one question, the questions, and what must live as long as they are used."""
    images: list[Any] = list(image) if isinstance(image, (list, tuple)) else [image]
    prompts: list[Any] = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt]
    is_single = not isinstance(image, (list, tuple)) and not isinstance(prompt, (list, tuple))
    count = min(len(images), len(prompts)) and max(len(images), len(prompts))
    if len(images) not in (1, count) or len(prompts) not in (1, count):
        raise InvalidArgumentError(
            f"{len(images)} images and {len(prompts)} prompts: give one of either, or as many of both",
            argument="prompt")
    handles = [askable(source) for source in images]
    texts = [None if text is None else encoded(text, "prompt") for text in prompts]
    items = (_abi.Item * count)()
    for index, item in enumerate(items):
        text = texts[0 if len(texts) == 1 else index]
        item.struct_size = ctypes.sizeof(_abi.Item)
        asked = handles[0 if len(handles) == 1 else index]
        if isinstance(asked, ImageFeatures):
            item.features = asked._handle
        else:
            item.image = asked._handle
        item.prompt = text
        item.prompt_length = len(text or b"")
    return is_single, items, [handles, texts]


def _strings(values: Sequence[str], argument: str) -> tuple[ctypes.Array[_abi.String], list[bytes]]:
    """Texts, and the memory that must live as long as they are used."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{argument} must be a list of str, not {type(values).__name__}")
    texts = [encoded(value, f"{argument}[{index}]") for index, value in enumerate(values)]
    return (_abi.String * len(texts))(*((text, len(text)) for text in texts)), texts


def _setting(value: int | None, argument: str) -> int:
    """An option whose 0 is its default in C, and whose MUE_OFF is none of it."""
    if value is None:
        return 0
    number = int32(value, argument)
    if number < 0:
        raise InvalidArgumentError(f"{argument} is {number} and must not be negative", argument=argument)
    return number or _abi.OFF


def _penalty(value: float | None) -> float:
    if value is None:
        return 0.0
    if value < 0:
        raise InvalidArgumentError(f"length_penalty is {value} and must not be negative", argument="length_penalty")
    return float(value) or float(_abi.OFF)


def _request_options(
    native_exits: _abi.Exits, cancel: CancelToken | None, similarities: bool
) -> _abi.RequestOptions:
    return _abi.RequestOptions(
        exits=ctypes.pointer(native_exits), cancel=handle_of(cancel), similarities=int(bool(similarities)))


def _cast(value: ArrayLike, kinds: str, dtype: type[np.generic], argument: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{argument} has dtype {array.dtype}; {np.dtype(dtype)} is wanted")
    return array.astype(dtype, copy=False)


def _native_callback(on_token: TokenCallback, raised: list[BaseException]) -> Any:
    """The callback for the library. Exceptions cannot pass through it: they are kept in `raised`."""

    @_abi.TokenCallback
    def callback(event: Any, _: object) -> int:
        try:
            native = event.contents
            text = ctypes.string_at(native.text, native.text_length).decode(errors="replace")
            answer = on_token(TokenEvent(native.item, native.token, text, native.exit_layer))
            if answer is not None and not isinstance(answer, Next):
                raise TypeError(f"on_token must return None or a mue.Next, not {type(answer).__name__}")
            return int(answer or Next.CONTINUE)
        except BaseException as error:
            raised.append(error)
            return int(Next.CANCEL)

    return callback
