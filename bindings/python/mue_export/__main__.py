"""The command line: `python -m mue_export ofa CHECKPOINT OUT_DIR`. Exit status 1 on errors, 2 on wrong usage."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .errors import ExportError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="mue_export", description="Makes bundles for mue from published checkpoints.")
    formats = top.add_subparsers(dest="format", required=True)
    ofa = formats.add_parser("ofa", help="OFA and MuE checkpoints (fairseq or Hugging Face)")
    ofa.add_argument("checkpoint", type=Path, help="the .pt, .bin or .safetensors file")
    ofa.add_argument("out", type=Path, metavar="OUT_DIR", help="the bundle's folder")
    ofa.add_argument("--encoder", choices=("joint", "decomposed"), default="joint",
                     help="OFA's joint encoder, or MuE's with image and text apart (default: joint)")
    ofa.add_argument("--drop-image-relative-bias", action="store_true",
                     help="decomposed: as MuE's released code, which its checkpoints were trained with")
    ofa.add_argument("--image-size", type=int, metavar="N",
                     help="side in pixels (default: as the checkpoint was trained, else 480)")
    ofa.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of stored weights (default: fp32)")
    ofa.add_argument("--opset", type=int, metavar="N", help="default: 17; dynamo: 20")
    ofa.add_argument("--exporter", choices=("torchscript", "dynamo"), default="torchscript")
    ofa.add_argument("--bpe", type=Path, metavar="DIR",
                     help="folder with encoder.json, vocab.bpe and dict.txt (default: MUE_OFA_BPE, or beside "
                          "CHECKPOINT)")
    ofa.add_argument("--ema", action="store_true", help="take the moving average of the weights (extra_state.ema)")
    ofa.add_argument("--no-verify", dest="verify", action="store_false", help="do not compare with ONNX Runtime")
    ofa.add_argument("--force", action="store_true", help="replace a bundle at OUT_DIR")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = vars(parser().parse_args(arguments))
    options.pop("format")
    options["opset"] = options["opset"] or (20 if options["exporter"] == "dynamo" else 17)
    begin = time.monotonic()
    try:
        try:
            from .ofa import OFAExport, export_ofa
        except ImportError as error:
            raise ExportError(f"{error}: install the extra, pip install mue[export]") from None
        export_ofa(OFAExport(**options), lambda line: print(f"[{time.monotonic() - begin:5.1f} s] {line}", flush=True))
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: out of memory", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
