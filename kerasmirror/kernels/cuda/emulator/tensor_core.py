"""Tensor cores on the CPU: what the PTX of gemm_tensor_core.py does, as LLVM code.

All lanes of a warp bring their words of a (16 x 8) and b (8 x 8), wait for each other, and each
sums its four values. The instruction leaves out the bits that TF32 has not, and so does this.
"""

import re

_FRAGMENT = 8  # words that a lane brings, in a row of its own
_MMA, _ROUND = "@emulated_warp_multiply", "@emulated_tf32"


def replaced(text):
    """LLVM code with calls of the functions below where it has PTX."""
    text = re.sub(r'asm +(?:sideeffect +)?"mma\.sync\.aligned\.m16n8k8[^"]*", "[^"]*"', _MMA, text)
    return re.sub(r'asm +(?:sideeffect +)?"cvt\.rna\.tf32\.f32[^"]*", "[^"]*"', _ROUND, text)


def _multiply():
    words = [f"%a{i}" for i in range(4)] + ["%b0", "%b1"]
    lines = ["%thread = load i32, ptr @emulated_thread", f"%own = mul i32 %thread, {_FRAGMENT}"]
    for i, word in enumerate(words):
        lines += [
            f"%o{i} = add i32 %own, {i}",
            f"%p{i} = getelementptr [{1024 * _FRAGMENT} x i32], ptr @emulated_fragments, "
            f"i64 0, i32 %o{i}",
            f"%cut{i} = and i32 {word}, -8192",
            f"store i32 %cut{i}, ptr %p{i}",
        ]
    lines += [
        "call void @emulated_wait(i32 1)",
        "%lane = and i32 %thread, 31",
        "%warp = sub i32 %thread, %lane",
        "%g4 = and i32 %lane, 28",
        "%t = and i32 %lane, 3",
        "%t8 = mul i32 %t, 8",
        "%row = add i32 %warp, %g4",  # the first lane that has its row of a
        "%column = add i32 %warp, %t8",  # the first lane that has its first column of b
    ]
    for k in range(8):
        lines += [
            *_word(f"x{k}", "%row", k % 4, 2 * (k // 4)),
            *_word(f"y{k}", "%row", k % 4, 2 * (k // 4) + 1),
            *_word(f"u{k}", "%column", k % 4, 4 + k // 4),
            *_word(f"v{k}", "%column", 4 + k % 4, 4 + k // 4),
        ]
    for i, (a, b) in enumerate(("xu", "xv", "yu", "yv")):
        lines.append(f"%s{i}.0 = fadd float %c{i}, 0.0")
        for k in range(8):
            lines += [
                f"%m{i}.{k} = fmul float %{a}{k}, %{b}{k}",
                f"%s{i}.{k + 1} = fadd float %s{i}.{k}, %m{i}.{k}",
            ]
    lines.append("call void @emulated_wait(i32 1)")
    kind, before = "{float, float, float, float}", "undef"
    for i in range(4):
        lines.append(f"%r{i} = insertvalue {kind} {before}, float %s{i}.8, {i}")
        before = f"%r{i}"
    lines.append(f"ret {kind} %r3")
    arguments = [f"i32 {word}" for word in words] + [f"float %c{i}" for i in range(4)]
    body = "\n  ".join(lines)
    return f"define {kind} {_MMA}({', '.join(arguments)}) {{\n  {body}\n}}\n"


def _word(name, lane, further, place):
    """The float `name`: word `place` of the lane `further` on from `lane`."""
    return [
        f"%{name}.l = add i32 {lane}, {further}",
        f"%{name}.o = mul i32 %{name}.l, {_FRAGMENT}",
        f"%{name}.i = add i32 %{name}.o, {place}",
        f"%{name}.p = getelementptr [{1024 * _FRAGMENT} x i32], ptr @emulated_fragments, "
        f"i64 0, i32 %{name}.i",
        f"%{name} = load float, ptr %{name}.p",
    ]


# To the nearest of 10 bits after the point; what is halfway, away from zero.
RUNTIME = f"""
@emulated_fragments = global [{1024 * _FRAGMENT} x i32] zeroinitializer
define i32 {_ROUND}(float %x) {{
  %bits = bitcast float %x to i32
  %up = add i32 %bits, 4096
  %cut = and i32 %up, -8192
  ret i32 %cut
}}
{_multiply()}"""
