"""One network's predictions in ONNX Runtime, in a process of its own; prints one JSON line.

The graph is made by onnx.helper from timing_child.py's weights, channels first, which ONNX Runtime
turns into its own blocked layout; images are handed over in that order, so that no time goes into
turning them. All optimizations are on, with one thread for each core.
"""

import os

import timing_child

OPSET = 17  # from 2022: every release of the last years runs it


def graph_of(onnx, np, layers, weights, batch):
    """The serialized model: images (batch, C, H, W) to probabilities."""
    nodes, initializers, image = [], [], None
    weights, value, number = iter(weights), "x", 0

    def add(operation, *parameters, **attributes):
        nonlocal value, number
        number += 1
        names = []
        for array in parameters:
            names.append(f"w{len(initializers)}")
            array = np.ascontiguousarray(array)
            initializers.append(onnx.numpy_helper.from_array(array, names[-1]))
        nodes.append(
            onnx.helper.make_node(operation, [value, *names], [f"v{number}"], **attributes)
        )
        value = f"v{number}"

    for layer in layers:
        if layer.kind == "C":
            kernel, bias = next(weights).transpose(3, 2, 0, 1), next(weights)
            add("Conv", kernel, bias, auto_pad="SAME_UPPER", kernel_shape=[layer.window] * 2)
        elif layer.kind == "D":
            kernel, bias = next(weights), next(weights)
            if image:  # flattened in the order C, H, W
                kernel = kernel.reshape(*image, -1).transpose(2, 0, 1, 3)
                kernel, image = kernel.reshape(layer.inputs[0], -1), None
            add("Gemm", kernel, bias)
        elif layer.kind == "M":
            add("MaxPool", kernel_shape=[layer.window] * 2, strides=[layer.window] * 2)
        elif layer.kind == "F":
            add("Flatten", axis=1)
            image = layer.inputs
        if layer.activation == "r":
            add("Relu")
        elif layer.activation == "sm":
            add("Softmax", axis=1)
    return _serialized(onnx, layers, nodes, initializers, value, batch)


def _serialized(onnx, layers, nodes, initializers, result, batch):
    height, width, channels = layers[0].inputs
    kind, info = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [info("x", kind, [batch, channels, height, width])],
        [info(result, kind, [batch, layers[-1].outputs[0]])],
        initializers,
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def session_of(onnxruntime, graph):
    """A session with every optimization and a thread for each core this process may use."""
    options = onnxruntime.SessionOptions()
    affinity = getattr(os, "sched_getaffinity", None)
    options.intra_op_num_threads = len(affinity(0)) if affinity else os.cpu_count()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def measure(spec):
    """All numbers of one process; times in seconds."""
    import networks
    import numpy as np
    import onnx
    import onnx.numpy_helper
    import onnxruntime

    images, labels = timing_child.data_of(spec)
    batch = spec["batch"]
    x = np.ascontiguousarray(images[:batch].transpose(0, 3, 1, 2))
    layers = networks.layers_of(spec["structure"], spec["shape"])
    weights = networks.initial_weights(spec["structure"], spec["shape"], spec["seed"])
    # One session for each size of batch: a known size lets it plan its memory.
    sessions = {
        size: session_of(onnxruntime, graph_of(onnx, np, layers, weights, size))
        for size in {batch, 1}
    }
    call = lambda values: sessions[len(values)].run(None, {"x": values})[0]  # noqa: E731
    called = timing_child.calling_numbers("call", call, x, batch)
    return {
        "parameters": sum(part.size for part in weights),
        "losses": [],
        "initial_loss": timing_child.cross_entropy(call(x), labels[:batch]),
        **called,
        **{name.replace("call", "on_batch"): called[name] for name in called},
    }


if __name__ == "__main__":
    timing_child.main(measure)
