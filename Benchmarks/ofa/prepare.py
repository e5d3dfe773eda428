"""Makes what `make bench` measures OFA with: .venv/bin/python Benchmarks/ofa/prepare.py [--size base] [--work FOLDER]

A checkpoint with random weights in the published format, FOLDER/SIZE-ENCODER/bundle exported from it for MuE, and
FOLDER/SIZE-ENCODER/pieces of the same weights for other runtimes (pieces.py). Nothing that is measured depends on the
values. Done once for a folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "bindings/python"), str(ROOT / "Tests/python")]


def prepare(size: str, encoder: str, work: Path) -> Path:
    folder = work / f"{size}-{encoder}"
    if (folder / "done").exists():
        return folder
    from mue_export.checkpoint import read_checkpoint
    from mue_export.names import state_records
    from mue_export.ofa import OFAExport, export_ofa, loaded_model
    from mue_export.sizes import OFASizes
    from pieces import write_pieces
    from random_ofa import published_sizes, random_state, save_checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    file = work / f"{size}.pt"
    if not file.exists():
        save_checkpoint(file, random_state(published_sizes(size)))
    bpe = Path(os.environ.get("MUE_SHARED", ROOT.parent / "shared")) / "ofa-bpe"
    request = OFAExport(file, folder / "bundle", encoder=encoder, image_size=480, bpe=bpe, force=True)
    export_ofa(request, print)
    checkpoint = read_checkpoint(file)
    records = state_records(checkpoint, False)
    sizes = OFASizes.of({name: record.shape for name, record in records.items()})
    write_pieces(loaded_model(request, checkpoint, records, sizes, 480), folder / "pieces")
    (folder / "done").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="base")
    parser.add_argument("--encoder", choices=("joint", "decomposed"), default="joint")
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench")
    args = parser.parse_args()
    print(prepare(args.size, args.encoder, args.work))


if __name__ == "__main__":
    main()
