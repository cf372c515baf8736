"""Entries of compiled code, in LLVM's language: what launches and Python call."""

# What numba's arrays call of its runtime, for scratch memory that one call of a kernel takes. The
# head in front is numba's: a count of references, and at 24 bytes the address of the contents.
RUNTIME = """
declare ptr @malloc(i64)
declare void @free(ptr)

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %more = add i64 %wide, 48
  %whole = add i64 %size, %more
  %block = call ptr @malloc(i64 %whole)
  %none = icmp eq ptr %block, null
  br i1 %none, label %end, label %fill
fill:
  store i64 1, ptr %block
  %start = ptrtoint ptr %block to i64
  %last = sub i64 %more, 1
  %beyond = add i64 %start, %last
  %rest = urem i64 %beyond, %wide
  %contents = sub i64 %beyond, %rest
  %place = getelementptr i8, ptr %block, i64 24
  store i64 %contents, ptr %place
  br label %end
end:
  ret ptr %block
}

define void @NRT_incref(ptr %block) {
  %none = icmp eq ptr %block, null
  br i1 %none, label %end, label %count
count:
  %before = load i64, ptr %block
  %after = add i64 %before, 1
  store i64 %after, ptr %block
  br label %end
end:
  ret void
}

define void @NRT_decref(ptr %block) {
  %none = icmp eq ptr %block, null
  br i1 %none, label %end, label %count
count:
  %before = load i64, ptr %block
  %after = sub i64 %before, 1
  store i64 %after, ptr %block
  %unused = icmp eq i64 %after, 0
  br i1 %unused, label %drop, label %end
drop:
  call void @free(ptr %block)
  br label %end
end:
  ret void
}
"""

# An entry calls the compiled function, and tells of an error, which only want of memory can be.
_CALL = """
declare i32 @"{symbol}"(ptr, ptr{types})
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare void @PyErr_SetString(ptr, ptr)
declare void @PyErr_WriteUnraisable(ptr)
@PyExc_SystemError = external global ptr
@failure = private constant [{length} x i8] c"{failure}\\00"

define private i64 @called({parameters}) {{
  %result = alloca i64
  %about = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @"{symbol}"(ptr %result, ptr %about{arguments})
  %value = load i64, ptr %result
  switch i32 %status, label %failed [i32 0, label %end i32 -2, label %end]
failed:
  %lock = call i32 @PyGILState_Ensure()
  %kind = load ptr, ptr @PyExc_SystemError
  call void @PyErr_SetString(ptr %kind, ptr @failure)
  call void @PyErr_WriteUnraisable(ptr null)
  call void @PyGILState_Release(i32 %lock)
  br label %end
end:
  ret i64 %value
}}
"""

# What launch() calls by its address.
_KERNEL = """
define void @{name}({parameters}) {{
  %value = call i64 @called({arguments})
  ret void
}}
"""

# What Python calls, without the interpreter's lock meanwhile.
_FUNCTION = """
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)

define ptr @{name}(ptr %self, ptr %objects, i64 %count) {{
{unpacking}
  %state = call ptr @PyEval_SaveThread()
  %value = call i64 @called({arguments})
  call void @PyEval_RestoreThread(ptr %state)
  %object = call ptr @PyLong_FromLongLong(i64 %value)
  ret ptr %object
}}
"""


def entry(name, symbol, count, for_python):
    """The module of an entry that calls `symbol`, which takes `count` whole numbers."""
    words = [f"i64 %a{i}" for i in range(count)]
    failure = f"{name} failed"
    form = {
        "name": name,
        "symbol": symbol,
        "types": ", i64" * count,
        "parameters": ", ".join(words),
        "failure": failure,
        "length": len(failure) + 1,
    }
    text = _CALL.format(arguments="".join(f", {word}" for word in words), **form)
    unpacking = (
        f"  %p{i} = getelementptr ptr, ptr %objects, i64 {i}\n"
        f"  %o{i} = load ptr, ptr %p{i}\n"
        f"  %a{i} = call i64 @PyLong_AsLongLong(ptr %o{i})"
        for i in range(count)
    )
    form["arguments"] = ", ".join(words)
    end = _FUNCTION if for_python else _KERNEL
    return text + end.format(unpacking="\n".join(unpacking), **form)
