"""What preparing a folder of text costs: time, memory of all processes, and how fast batches come from the rows.

    python benchmarks/prepare_corpus.py --megabytes 1000 --tokenizer bytes --folder /tmp/benchmark

Writes a folder of JSON lines from a seed (documents of 20 to 2000 words, whose frequencies follow Zipf's law), prepares
it in a child process, and removes all of it. Megabytes are 1e6 bytes. Memory is sampled: the sum over the child and its
workers of private memory (USS, what each would give back) and of resident memory (RSS, shared and mapped files too).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import psutil

FILE_BYTES = 100_000_000
CONTEXT = 1024


def main() -> None:
    """Write, prepare, measure, print, remove."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--tokenizer", default="bytes")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/prepare_corpus"))
    chosen = parser.parse_args()
    needed = 5 * chosen.megabytes * 10**6
    chosen.folder.mkdir(parents=True)
    try:
        if (free := shutil.disk_usage(chosen.folder).free) < needed:
            raise SystemExit(
                f"{free / 1e9:.0f} GB are free and {needed / 1e9:.0f} are needed: name another --folder"
            )
        write_text(chosen.folder / "text", chosen.megabytes * 10**6)
        seconds, private, resident = measured(chosen.folder, chosen.tokenizer)
        tokens = batches_per_second(chosen.folder, chosen.tokenizer)
    finally:
        shutil.rmtree(chosen.folder)
    print(
        f"{chosen.megabytes} MB, {chosen.tokenizer}: {seconds:.0f} s, {chosen.megabytes / seconds:.1f} MB/s,"
        f" peak {private:.0f} MiB private and {resident:.0f} MiB resident in all processes;"
        f" batches at {tokens / 1e6:.0f} M tokens/s on one core"
    )


def write_text(folder: Path, size: int) -> None:
    """About `size` bytes of documents, in files of 100 MB."""
    folder.mkdir()
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxzé"))
    words = ["".join(random.choice(letters, n)) for n in random.integers(1, 12, 50_000)]
    written = 0
    for number in range(-(-size // FILE_BYTES)):
        with (folder / f"{number:04d}.jsonl").open("w", encoding="utf-8") as file:
            stop = min(size, written + FILE_BYTES)
            while written < stop:
                ranks = random.zipf(1.2, random.integers(20, 2000)) % len(words)
                line = (
                    json.dumps({"text": " ".join([words[rank] for rank in ranks])}, ensure_ascii=False) + "\n"
                )
                file.write(line)
                written += len(line.encode())


def measured(folder: Path, tokenizer: str) -> tuple[float, float, float]:
    """Seconds to prepare, and peaks of private and resident memory in MiB."""
    child = multiprocessing.get_context("spawn").Process(target=prepare, args=(folder, tokenizer))
    start, private, resident = time.perf_counter(), 0.0, 0.0
    child.start()
    watched = psutil.Process(child.pid)
    while child.is_alive():
        found = [memory(process) for process in [watched, *children(watched)]]
        private = max(private, sum(uss for uss, _ in found) / 2**20)
        resident = max(resident, sum(rss for _, rss in found) / 2**20)
        child.join(0.2)
    if child.exitcode:
        raise SystemExit(f"preparing ended with code {child.exitcode}")
    return time.perf_counter() - start, private, resident


def children(process: psutil.Process) -> list[psutil.Process]:
    """The processes below one; none where it has just ended."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def memory(process: psutil.Process) -> tuple[int, int]:
    """Private and resident bytes of a process; nothing where it has just ended."""
    try:
        found = process.memory_full_info()
    except psutil.Error:
        return 0, 0
    return found.uss, found.rss


def prepare(folder: Path, tokenizer: str) -> None:
    """Prepare the text, telling how long each stage takes."""
    from scaling.data.rows import prepare_rows

    began = time.perf_counter()
    stages: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        if what not in stages:
            stages.append(what)
            print(f"{time.perf_counter() - began:6.0f} s  {what}: {total}", flush=True)

    prepare_rows(data(folder, tokenizer), folder / "data", progress)


def batches_per_second(folder: Path, tokenizer: str) -> float:
    """Tokens a second of batches of 64 rows, in this process alone."""
    from scaling.data.batches import batch
    from scaling.data.rows import prepare_rows

    rows = prepare_rows(data(folder, tokenizer), folder / "data")["train"]
    start, steps = time.perf_counter(), 1000
    for step in range(steps):
        batch(rows, 0, step, 64)
    return steps * 64 * CONTEXT / (time.perf_counter() - start)


def data(folder: Path, tokenizer: str):  # type: ignore[no-untyped-def]
    """The text as a spec names it."""
    from scaling.spec import Data

    return Data(
        corpus=f"text_folder:{folder / 'text'}", tokenizer=tokenizer, context=CONTEXT, eval_tokens=CONTEXT
    )


if __name__ == "__main__":
    main()
