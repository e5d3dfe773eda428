from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import _abi
from .errors import InvalidArgumentError

Rule: TypeAlias = Literal["row", "joint"]
Schedule: TypeAlias = Literal["constant", "paper", "released"]


@dataclass(frozen=True)
class Exits:
    """Early exits in full; most requests only need "off", "calibrated" or three thresholds.

    A stream stops after the first layer whose similarity to the layer before exceeds its threshold.

    Attributes:
        image, text, decoder: thresholds; 1 or more is never. All None: those of the model's mue.json.
        rule: "row" decides for each sample and row, "joint" once for the batch as the MuE authors' code has it.
        schedule: how the decoder's threshold theta changes over the generated tokens t = 0, 1, ... of at most N:
            "constant"; "paper", clip(beta theta + (1 - beta) exp(-tau t / N)) to [0, 1]; or "released",
            1 while t < (N + 1) / 3, then 0.9 theta + 0.1 exp(-(t + 1) / (N + 1)).
        beta, tau: of the "paper" schedule; 0 takes the defaults, 0.95 and 1.
    """

    image: float | None = None
    text: float | None = None
    decoder: float | None = None
    rule: Rule = "row"
    schedule: Schedule = "constant"
    beta: float = 0.0
    tau: float = 0.0


ExitsLike: TypeAlias = Literal["off", "calibrated"] | Sequence[float] | Exits


def native(exits: ExitsLike) -> _abi.Exits:
    """`mue_exits` for what a caller gave."""
    if isinstance(exits, str):
        if exits == "off":
            return _abi.Exits(mode=_abi.EXITS_OFF)
        if exits == "calibrated":
            return _abi.Exits(mode=_abi.EXITS_CALIBRATED)
        raise _invalid(repr(exits))
    if not isinstance(exits, Exits):
        try:
            image, text, decoder = (float(value) for value in exits)
        except (TypeError, ValueError):
            raise _invalid(repr(exits)) from None
        exits = Exits(image, text, decoder)
    if exits.rule not in _abi.RULES:
        raise InvalidArgumentError(f"rule is '{exits.rule}', not row or joint", argument="exits.rule")
    if exits.schedule not in _abi.SCHEDULES:
        raise InvalidArgumentError(
            f"schedule is '{exits.schedule}', not constant, paper or released", argument="exits.schedule")
    result = _abi.Exits(rule=_abi.RULES[exits.rule])
    if exits.image is None and exits.text is None and exits.decoder is None:
        result.mode = _abi.EXITS_CALIBRATED
        return result
    if exits.image is None or exits.text is None or exits.decoder is None:
        raise InvalidArgumentError("exits needs all three thresholds or none", argument="exits")
    result.mode = _abi.EXITS_THRESHOLDS
    result.image, result.text, result.decoder = float(exits.image), float(exits.text), float(exits.decoder)
    result.schedule = _abi.SCHEDULES[exits.schedule]
    result.beta, result.tau = float(exits.beta), float(exits.tau)
    return result


def _invalid(value: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'exits is {value}, neither "off", "calibrated", three numbers (image, text, decoder), nor mue.Exits',
        argument="exits")
