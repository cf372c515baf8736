"""What bounds a CUDA kernel on a card, by its stated traffic and its machine code: a roofline."""

from typing import NamedTuple

from kerasmirror.kernels.cuda import static

# Seconds from a load to its value while memory is busy: an assumption, on the safe side.
LATENCY = 600e-9
# Warps for each scheduler that keep its multiply-adds coming: their results take four clocks, and
# the loops that count have tens of independent sums.
ENOUGH_WARPS = 2
_PRODUCT = 0.3  # the share of multiply-adds that makes a loop one of products
_SPECIAL = 16  # lanes of a multiprocessor for roots, exponentials and the like


class Card(NamedTuple):
    """A GPU: clock in GHz, bandwidth in GB/s. Source: NVIDIA's data sheets."""

    name: str
    capability: tuple
    multiprocessors: int
    clock: float
    bandwidth: float

    @property
    def lanes(self):
        """Multiply-adds of float32 per clock of a multiprocessor."""
        return static.MULTIPROCESSORS[self.capability].lanes

    @property
    def peak(self):
        """TFLOP/s of float32, tensor cores aside."""
        return 2 * self.multiprocessors * self.lanes * self.clock / 1e3


CARDS = (
    Card("A100 SXM 80 GB", (8, 0), 108, 1.41, 2039),
    Card("H100 SXM", (9, 0), 132, 1.98, 3352),
    Card("RTX 4090", (8, 9), 128, 2.52, 1008),
)

_FLOATS = ("FFMA", "FADD", "FMUL", "FMNMX", "FSEL", "FSETP")


class Estimate(NamedTuple):
    """What bounds a kernel on a card, and what it reaches at best.

    `bound`: memory, arithmetic, or instructions where a kernel that moves much for what it computes
    is held up by those around; or tensor cores, of which nothing is estimated. `peak` and
    `bandwidth` are shares of the card's, `speed` TFLOP/s, `intensity` operations per byte.
    """

    bound: str
    peak: float
    bandwidth: float
    speed: float
    intensity: float


def working_part(facts, stated, signature):
    """(the part of a kernel that makes items, how many it makes).

    The loops that load or store; or the straight code where that alone moves an item's bytes, as
    that of a pooling window without a loop does. Of products it is the loop of multiply-adds, which
    are their items.
    """
    if facts.hot.share("FFMA") > _PRODUCT:
        return facts.hot, static.multiply_adds(facts.hot) * 2 / float(stated.operations)
    loaded, written = stated.loaded(signature), stated.written(signature)
    loops = [loop for loop in facts.loops if loop.bytes_of("LDG", "STG")]
    merged = _together(loops)
    straight = static.Part({w: n - merged.counts.get(w, 0) for w, n in facts.whole.counts.items()})
    own = straight.bytes_of("LDG") >= loaded and straight.bytes_of("STG") >= written
    part = merged if loops and not own else straight if loops else facts.whole
    for name, stated_bytes in (("STG", written), ("LDG", loaded)):
        if stated_bytes and part.bytes_of(name):
            return part, float(part.bytes_of(name) / stated_bytes)
    return part, 1.0


def _together(parts):
    counts = {}
    for part in parts:
        for word, n in part.counts.items():
            counts[word] = counts.get(word, 0) + n
    return static.Part(counts)


def estimate(facts, kernel, signature, card):
    """The Estimate of a form of a kernel on a card, from its facts there."""
    stated = kernel.traffic
    n_bytes = float(stated.read(signature) + stated.written(signature))
    work = float(stated.operations)
    if facts.whole.count("HMMA"):
        return Estimate("tensor cores", 0.0, 0.0, 0.0, work / n_bytes)
    held = static.occupancy(facts, kernel.block)
    part, items = working_part(facts, stated, signature)
    # Clocks of a multiprocessor for what a warp does: a scheduler issues an instruction a clock.
    issued = part.size / static.SCHEDULERS
    lanes = max(32 * part.count(*_FLOATS) / card.lanes, 32 * part.count("MUFU") / _SPECIAL)
    busy = min(1.0, held.warps / (ENOUGH_WARPS * static.SCHEDULERS))
    clocks = max(issued, lanes) / busy / (32 * items)
    by_code = card.multiprocessors * card.clock * 1e9 / clocks  # items per second
    wanted = card.bandwidth * 1e9 * LATENCY / card.multiprocessors
    flying = held.warps * 32 * part.bytes_of("LDG", "STG") or wanted
    by_memory = min(1.0, flying / wanted) * card.bandwidth * 1e9 / n_bytes
    rate = min(by_code, by_memory)
    moved, speed = rate * n_bytes / 1e9, rate * work / 1e12
    dense = work * card.bandwidth > n_bytes * card.peak * 1e3  # to the right of the roof's edge
    bound = "memory" if by_memory < by_code else "arithmetic" if dense else "instructions"
    return Estimate(bound, speed / card.peak, moved / card.bandwidth, speed, work / n_bytes)
