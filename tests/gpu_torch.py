"""PyTorch's side of tests/gpu_bench.py: the shapes of a file of `seqrank bench ops`, and the same
training step. A process of its own, so that no library of ours is near.

  gpu_torch.py ops OURS.json OUT.json [--device=cpu] [--quick]
  gpu_torch.py step DATA.h5 OUT.json --width=.. --batch=.. --precision=.. [--device=cpu] [--quick]

Times as ours are taken: calls enqueued for two milliseconds, from synchronised to synchronised.
"""
import argparse
import json
import os
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION, "math": SDPBackend.MATH}
REPEAT_SECONDS = 2e-3


class Clock:
    def __init__(self, device, repeats):
        self.device, self.repeats = device, repeats

    def synchronise(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds_of(self, call, calls):
        self.synchronise()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronise()
        return (time.perf_counter() - begin) / calls

    def time(self, call):
        """{"median", "least", "most"}, or {"error"} where PyTorch has no such kernel."""
        try:
            call()
            once = min(self.seconds_of(call, 1) for _ in range(2))
            calls = max(1, min(1000, int(REPEAT_SECONDS / once + 1)))
            all_seconds = sorted(self.seconds_of(call, calls) for _ in range(self.repeats))
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            return {"error": str(error).strip().split("\n")[0][:200]}
        return {"median": all_seconds[len(all_seconds) // 2], "least": all_seconds[0],
                "most": all_seconds[-1]}


def values(shape, dtype, device):
    return (torch.rand(shape, device=device) * 0.2 - 0.1).to(dtype)


# ---- attention ---------------------------------------------------------------------------------

def forward_and_backward(call, inputs, d_out):
    def both():
        for x in inputs:
            x.grad = None
        call().backward(d_out)
    return both


def padded_attention(clock, lengths, heads, width, dtype, backward, backend):
    """Also of fixed lengths. A causal mask needs no other: padding comes last."""
    shape = (len(lengths["length_B"]), heads, lengths["longest"], width)
    q, k, v = (values(shape, dtype, clock.device).requires_grad_(backward) for _ in range(3))

    def call():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    with sdpa_kernel(BACKENDS[backend]):
        if not backward:
            with torch.no_grad():
                return clock.time(call)
        return clock.time(forward_and_backward(call, (q, k, v), values(shape, dtype, clock.device)))


def nested_attention(clock, lengths, heads, width, dtype, backward, backend):
    """Jagged: no padding; sequences end to end, as ours."""
    offsets = torch.tensor([0] + lengths["length_B"], device=clock.device).cumsum(0)
    flat = [values((lengths["events"], heads, width), dtype, clock.device).requires_grad_(backward)
            for _ in range(3)]

    def call():
        q, k, v = (torch.nested.nested_tensor_from_jagged(
            x, offsets, min_seqlen=min(lengths["length_B"]),
            max_seqlen=max(lengths["length_B"])).transpose(1, 2) for x in flat)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.transpose(1, 2).values()

    with sdpa_kernel(BACKENDS[backend]):
        if not backward:
            with torch.no_grad():
                return clock.time(call)
        d_out = values(flat[0].shape, dtype, clock.device)
        return clock.time(forward_and_backward(call, flat, d_out))


def varlen_attention(clock, lengths, heads, width, dtype, backward):
    """PyTorch's own flash attention over sequences end to end."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        return {"error": str(error)}
    offsets = torch.tensor([0] + lengths["length_B"], device=clock.device).cumsum(0).int()
    longest, shape = max(lengths["length_B"]), (lengths["events"], heads, width)
    q, k, v = (values(shape, dtype, clock.device).requires_grad_(backward) for _ in range(3))

    def call():
        return varlen_attn(q, k, v, offsets, offsets, longest, longest, window_size=(-1, 0))

    if not backward:
        with torch.no_grad():
            return clock.time(call)
    return clock.time(forward_and_backward(call, (q, k, v), values(shape, dtype, clock.device)))


def attention(clock, row, lengths):
    arguments = (clock, lengths, row["sizes"]["heads"], row["sizes"]["head_width"],
                 TYPES[row["type"]], row["pass"] != "forward")
    backends = ("flash", "cudnn", "efficient") if clock.device == "cuda" else ("flash", "math")
    packed = lengths["name"].startswith("packed")
    result = {("padded " if packed else "") + b: padded_attention(*arguments, b) for b in backends}
    if packed:
        nested = backends[:2] if clock.device == "cuda" else ("math",)
        result.update({"nested " + b: nested_attention(*arguments, b) for b in nested})
        result["varlen"] = varlen_attention(*arguments)
    return result


# ---- the others --------------------------------------------------------------------------------

def recurrence(clock, row, lengths):
    width, dtype, device = row["sizes"]["width"], TYPES[row["type"]], clock.device
    cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[row["op"]]
    net = cell(width, width, batch_first=True).to(device, dtype)
    sizes = lengths["length_B"]
    x = values((len(sizes), lengths["longest"], width), dtype, device)
    dh = values(x.shape, dtype, device)
    result = {}

    def of(data, d_out, run):
        data = data.detach().requires_grad_()
        return clock.time(forward_and_backward(lambda: run(data), (data, *net.parameters()), d_out))

    result["padded" if lengths["name"].startswith("packed") else "whole"] = of(
        x, dh, lambda data: net(data)[0])
    if lengths["name"].startswith("packed"):
        pack = torch.nn.utils.rnn.pack_padded_sequence
        like = pack(x, torch.tensor(sizes), batch_first=True, enforce_sorted=False)
        result["packed"] = of(
            like.data, values(like.data.shape, dtype, device),
            lambda data: net(torch.nn.utils.rnn.PackedSequence(
                data, like.batch_sizes, like.sorted_indices, like.unsorted_indices))[0].data)
    return result


def softmax(clock, row, _lengths):
    sizes, dtype = row["sizes"], TYPES[row["type"]]
    h = values((sizes["events"], sizes["width"]), dtype, clock.device).requires_grad_()
    table = values((sizes["items"], sizes["width"]), dtype, clock.device).requires_grad_()
    target = torch.randint(sizes["items"], (sizes["events"],), device=clock.device)
    one = torch.ones((), device=clock.device, dtype=dtype)

    def loss(h, table):
        return F.cross_entropy(F.linear(h, table), target)

    result = {"eager": clock.time(forward_and_backward(lambda: loss(h, table), (h, table), one))}
    if clock.device == "cuda":
        compiled = torch.compile(loss)
        result["compile"] = clock.time(
            forward_and_backward(lambda: compiled(h, table), (h, table), one))
    return result


def gather(clock, row, _lengths):
    sizes = row["sizes"]
    table = values((sizes["items"], sizes["width"]), torch.float32, clock.device)
    ids = torch.randint(sizes["items"], (sizes["events"],), device=clock.device)
    return {"embedding": clock.time(lambda: F.embedding(ids, table))}


def scatter(clock, row, _lengths):
    sizes = row["sizes"]
    ids = torch.randint(sizes["items"], (sizes["events"],), device=clock.device)
    dy = values((sizes["events"], sizes["width"]), torch.float32, clock.device)
    table = torch.zeros((sizes["items"], sizes["width"]), device=clock.device)
    return {"index_add_": clock.time(lambda: table.index_add_(0, ids, dy)),
            "embedding_dense_backward": clock.time(
                lambda: torch.ops.aten.embedding_dense_backward(dy, ids, len(table), -1, False))}


OPS = {"multi_head_attention": attention, "lstm": recurrence, "gru": recurrence,
       "softmax_cross_entropy": softmax, "gather_rows": gather,
       "sum_rows+scatter_add_rows": scatter}


def write(given, result):
    with open(given.output + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    os.replace(given.output + ".part", given.output)


def run_ops(given):
    with open(given.input, encoding="utf-8") as file:
        ours = json.load(file)
    lengths = {entry["name"]: entry for entry in ours["lengths"]}
    clock = Clock(given.device, 2 if given.quick else 7)
    result = {"torch": torch.__version__, "theirs": []}
    for row in ours["speeds"]:
        known = row["type"] in TYPES
        result["theirs"].append(
            OPS[row["op"]](clock, row, lengths.get(row["lengths"])) if known else {})
        write(given, result)  # what is there when time runs out counts
    return result


# ---- the whole step ----------------------------------------------------------------------------

class AttentionRnn(torch.nn.Module):
    """attention_rnn as our configuration has it: GRU, running additive attention, tied softmax."""

    def __init__(self, items, width, dropout):
        super().__init__()
        self.items = torch.nn.Embedding(items, width)
        torch.nn.init.normal_(self.items.weight, std=0.02)
        self.rnn = torch.nn.GRU(width, width, batch_first=True)
        self.key = torch.nn.Linear(width, width, bias=False)
        self.score = torch.nn.Linear(width, 1, bias=False)
        self.out = torch.nn.Linear(2 * width, width)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, item, target):
        """[B, L], padded at the end with target -100."""
        h = self.rnn(self.dropout(self.items(item)))[0]
        score = self.score(torch.tanh(self.key(h))).float()
        weight = torch.exp(score - score.amax(1, keepdim=True))
        context = torch.cumsum(weight * h, 1) / torch.cumsum(weight, 1).clamp_min(1e-30)
        state = self.out(self.dropout(torch.cat([h, context.to(h.dtype)], -1)))
        real = target != -100
        logits = F.linear(state, self.items.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), ignore_index=-100,
                               reduction="sum") / real.sum()


def batches_of(given, count):
    """Windows of at most 200 events in a seeded order, padded to the longest of the batch rounded
    up to 32, so that torch.compile meets few shapes."""
    import h5py  # pylint: disable=import-outside-toplevel
    with h5py.File(given.input) as file:
        offset, item = file["sequence/offset"][:], torch.from_numpy(file["event/item"][:]).long()
    windows = []
    for begin, end in zip(offset[:-1], offset[1:]):
        end -= 2 if end - begin >= 3 else 0  # two are held out
        while end - begin >= 2:
            first = max(begin, end - 1 - 200)
            windows.append((int(first), int(end)))
            end = first + 1
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(1)).tolist()
    batches = []
    for b in range(count):
        chosen = [windows[order[(b * given.batch + i) % len(order)]] for i in range(given.batch)]
        longest = (max(end - begin for begin, end in chosen) - 1 + 31) // 32 * 32
        inputs = torch.zeros((given.batch, longest), dtype=torch.long)
        targets = torch.full((given.batch, longest), -100)
        for row, (begin, end) in enumerate(chosen):
            inputs[row, :end - begin - 1] = item[begin:end - 1]
            targets[row, :end - begin - 1] = item[begin + 1:end]
        batches.append((inputs.to(given.device), targets.to(given.device),
                        sum(end - begin - 1 for begin, end in chosen)))
    return int(item.max()) + 1, batches


def run_step(given):
    steps, repeats, warmup = (2, 1, 1) if given.quick else (20, 3, 30)
    items, batches = batches_of(given, steps)
    clock = Clock(given.device, repeats)
    dtype = TYPES[given.precision]
    result = {"torch": torch.__version__}
    for name in ("eager",) if given.device == "cpu" else ("eager", "compile"):
        torch.manual_seed(1)
        model = AttentionRnn(items, given.width, 0.2).to(given.device)
        optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0,
                                      fused=given.device == "cuda")
        run = torch.compile(model) if name == "compile" else model

        def step(inputs, targets):
            optimiser.zero_grad()
            with torch.autocast(given.device, dtype, enabled=dtype != torch.float32):
                loss = run(inputs, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

        try:
            for i in range(warmup):
                step(*batches[i % steps][:2])
            seconds = sorted(clock.seconds_of(lambda: [step(*b[:2]) for b in batches], 1)
                             for _ in range(repeats))
            events = sum(b[2] for b in batches)
            result[name] = {"events_per_s": events / seconds[len(seconds) // 2],
                            "least": events / seconds[-1], "most": events / seconds[0]}
        except RuntimeError as error:
            result[name] = {"error": str(error).strip().split("\n")[0][:200]}
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("ops", "step"))
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="fp32", choices=TYPES)
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    write(given, run_ops(given) if given.what == "ops" else run_step(given))


if __name__ == "__main__":
    main()
