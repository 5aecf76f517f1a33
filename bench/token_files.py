"""Token files (src/format/token_file.h) of random examples, for measuring speed and memory."""

import json
import random
import struct


def write_tokens(path, lengths, vocab, prompt=0.0, pairs=False):
    """Examples of these lengths. Loss on every token, or on those behind `prompt`, a share of each example. Pairs: every
    two neighbours are a better and a worse answer to one prompt."""
    draw = random.Random(1)
    starts = [0]
    ids = []
    loss = bytearray()
    for index, length in enumerate(lengths):
        first = int(prompt * length)
        example = [draw.randrange(vocab) for _ in range(length)]
        if pairs and index % 2 == 1:
            first = min(int(prompt * lengths[index - 1]), length - 1)
            example[:first] = ids[starts[-2]:starts[-2] + first]
        ids += example
        loss += b"\0" * first + b"\1" * (length - first)
        starts.append(starts[-1] + length)
    columns = [("starts", "I64", len(starts), struct.pack(f"<{len(starts)}q", *starts)),
               ("ids", "I32", len(ids), struct.pack(f"<{len(ids)}i", *ids)), ("loss", "U8", len(ids), bytes(loss))]
    if pairs:
        judged = bytes(1 + index % 2 for index in range(len(lengths)))
        columns.append(("judged", "U8", len(lengths), judged))
    header = {"__metadata__": {"pairs": "true"}} if pairs else {}
    end = 0
    for name, kind, count, data in columns:
        header[name] = {"dtype": kind, "shape": [count], "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in columns))
