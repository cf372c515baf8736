"""Graph: from placeholders to placeholders, the calls between them in an order to run them in."""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from kerasmirror.core import tree
from kerasmirror.core.node import Node, node_of
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.layer import Layer
from kerasmirror.models import fusion


class Step(NamedTuple):
    """One call: where its arguments come from, where its results go, what is not needed after."""

    operation: Any
    slot: int  # of the only argument; -1 where `fill` makes the arguments
    fill: Any
    takes_training: bool
    results: tuple
    free: tuple


class Graph:
    """The calls that lead from `inputs` to `outputs`, both flat lists of KerasTensors.

    `paths` tell errors where each output stands in the structure that the user gave.

    `operations` are in Keras's order: far from the outputs first, among equals as a walk from the
    first output meets them. The order is settled here, once; `run` follows it.
    Raises: ValueError when an output needs something that is no input, or two operations of one
    name.
    """

    def __init__(self, inputs, outputs, paths=None):
        self.inputs = inputs
        self.outputs = outputs
        found, first_seen = calls_between(inputs, outputs)
        node_depths, operation_depths = _depths(found)
        for tensor in inputs:
            node = node_of(tensor)
            # An input that no output needs; one without history belongs to no operation.
            if node is not None and node.is_input and node.operation not in operation_depths:
                operation_depths[node.operation] = node_depths[node] = 0
                first_seen[node.operation] = -1
        by_depth = defaultdict(list)
        for node, depth in node_depths.items():
            by_depth[depth].append(node)
        self.nodes_by_depth = {depth: by_depth[depth] for depth in sorted(by_depth, reverse=True)}
        self.nodes = [node for nodes in self.nodes_by_depth.values() for node in nodes]
        self.members = set(self.nodes)
        self.operations = sorted(
            operation_depths, key=lambda one: (-operation_depths[one], first_seen[one])
        )
        self._check(paths)
        slots, self.steps = self._plan()
        self.uses = self._count_uses(slots)
        self.size = len(slots)
        self.fused = fusion.Plan(_fused_steps)
        self.input_slots = [slots[id(tensor)] for tensor in inputs]
        self.output_slots = [slots[id(tensor)] for tensor in outputs]

    def _check(self, paths):
        known = {id(tensor) for tensor in self.inputs}
        missing = {}  # what a tensor that cannot be computed comes down to
        for node in self.nodes:
            if node.is_input:
                continue
            lacks = [tensor for tensor in node.input_tensors if id(tensor) not in known]
            for tensor in node.outputs:
                if lacks:
                    missing[id(tensor)] = missing.get(id(lacks[0]), lacks[0])
                else:
                    known.add(id(tensor))
        for position, tensor in enumerate(self.outputs):
            if id(tensor) not in known:
                place = "" if paths is None else ".".join(map(str, paths[position]))
                raise _disconnected(missing.get(id(tensor), tensor), place)
        names = Counter([one.name for one in self.operations])
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            raise ValueError(
                "keras.Model: all layers and operations of a model must have different names. "
                f"Received: more than one called {repeated[0]!r}"
            )

    def _plan(self):
        slots = {}
        for tensor in self.inputs:
            slots.setdefault(id(tensor), len(slots))
        nodes = [node for node in self.nodes if not node.is_input]
        for node in nodes:
            for tensor in node.outputs:
                slots.setdefault(id(tensor), len(slots))
        last_use = {}
        for number, node in enumerate(nodes):
            for tensor in (*node.outputs, *node.input_tensors):
                last_use[slots[id(tensor)]] = number
        for tensor in self.outputs:
            last_use.pop(slots[id(tensor)], None)
        freed = defaultdict(list)
        for slot, number in last_use.items():
            freed[number].append(slot)
        steps = []
        for number, node in enumerate(nodes):
            args = node.args
            only = len(args) == 1 and isinstance(args[0], KerasTensor) and not node.kwargs
            signature = getattr(node.operation, "_call_signature", None)
            steps.append(
                Step(
                    node.operation,
                    slots[id(args[0])] if only else -1,
                    None if only else _filler((args, node.kwargs), slots),
                    signature is not None and signature.has_training,
                    tuple(slots[id(tensor)] for tensor in node.outputs),
                    tuple(freed[number]),
                )
            )
        return slots, steps

    def _count_uses(self, slots):
        """How often each slot's value is an argument or an output."""
        uses = Counter(slots[id(tensor)] for tensor in self.outputs)
        for node in self.nodes:
            if not node.is_input:
                uses.update(slots[id(tensor)] for tensor in node.input_tensors)
        return uses

    def run(self, inputs, training=None, owner="keras.Model"):
        """The outputs' values for the inputs' values; others are let go after their last use.

        Raises: ValueError that names the layer or operation that did not like what it got.
        """
        values = [None] * self.size
        for place, value in zip(self.input_slots, inputs, strict=True):
            values[place] = value
        args = kwargs = y = value = None
        inputs = None
        try:
            for group, steps in self.fused.parts(self):
                if group is not None:
                    y = group.run(values[steps[0].slot], training)
                    if y is not None:
                        for step in steps:
                            for place in step.free:
                                values[place] = None
                        values[steps[-1].results[0]] = y
                        continue
                for operation, slot, fill, takes_training, results, free in steps:
                    if slot >= 0:
                        if takes_training and training is not None:
                            y = operation(values[slot], training=training)
                        else:
                            y = operation(values[slot])
                    else:
                        args, kwargs = fill(values)
                        if takes_training and training is not None:
                            kwargs["training"] = training
                        y = operation(*args, **kwargs)
                        args = kwargs = None
                    if type(y) is Tensor or type(y) is KerasTensor:
                        values[results[0]] = y
                    else:
                        for place, part in zip(results, tree.flatten(y), strict=True):
                            values[place] = part
                    for place in free:
                        values[place] = None
        except ValueError as error:
            if f"'{operation.name}'" in str(error):
                raise
            found = [values[slot]] if slot >= 0 else tree.flatten(fill(values))
            shapes = [tuple(leaf.shape) for leaf in found if hasattr(leaf, "shape")]
            raise ValueError(
                f"{owner}: '{operation.name}' cannot run on inputs of shape(s) "
                f"{', '.join(map(str, shapes))}: {error}"
            ) from error
        return [values[slot] for slot in self.output_slots]

    def replay(self, inputs, copy_of, call_function=None):
        """The outputs of the same calls made on `inputs` by copies of the layers."""
        values = [None] * self.size
        for place, value in zip(self.input_slots, inputs, strict=True):
            values[place] = value
        for step in self.steps:
            operation = step.operation
            if isinstance(operation, Layer):
                operation = copy_of(operation)
            args, kwargs = step.fill(values) if step.slot < 0 else ((values[step.slot],), {})
            if call_function is None or not isinstance(operation, Layer):
                y = operation(*args, **kwargs)
            else:
                y = call_function(operation, *args, **kwargs)
            for place, part in zip(step.results, tree.flatten(y), strict=True):
                values[place] = part
        return [values[slot] for slot in self.output_slots]

    def layers(self):
        """The operations that are layers."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]


def _fused_steps(graph):
    """[(group or None, its steps)]: chains of steps that run as one operation, where the first is.

    Each value in a chain has one use, and is no output; what is moved forward with a chain is a
    layer's only step, so that its random numbers come in the same order.
    """
    steps = graph.steps
    by_slot = {step.slot: step for step in steps if step.slot >= 0}
    calls = Counter(id(step.operation) for step in steps)
    parts, taken = [], set()
    for step in steps:
        if id(step) in taken:
            continue
        chain = [step] if step.slot >= 0 else []
        while chain and len(chain[-1].results) == 1 and graph.uses[chain[-1].results[0]] == 1:
            following = by_slot.get(chain[-1].results[0])
            if following is None or calls[id(following.operation)] > 1:
                break
            chain.append(following)
        group = fusion.group_at([one.operation for one in chain])
        chain = [step] if group is None else chain[: len(group.layers)]
        taken.update(map(id, chain))
        parts.append((group, chain))
    return parts


def calls_between(inputs, outputs):
    """The nodes that `outputs` need, each after those it needs itself; operations as first met."""
    given = {id(tensor) for tensor in inputs}
    finished, ordered, first_seen = set(), [], {}
    for output in outputs:
        waiting = [(None, iter([output]))]
        while waiting:
            node, tensors = waiting[-1]
            tensor = next(tensors, None)
            if tensor is None:
                waiting.pop()
                if node is not None:
                    finished.add(node)
                    ordered.append(node)
                continue
            parent = node_of(tensor)
            if parent is None or parent in finished:
                continue
            if not parent.is_input and id(tensor) in given:
                continue
            first_seen.setdefault(parent.operation, len(first_seen))
            waiting.append((parent, iter(parent.input_tensors)))
    return ordered, first_seen


def _depths(ordered):
    """How far each node and each operation is from the outputs, at most."""
    members = set(ordered)
    nodes, operations = {}, {}
    for node in reversed(ordered):
        depth = max(nodes.setdefault(node, 0), operations.get(node.operation, 0))
        nodes[node] = operations[node.operation] = depth
        for parent in node.parent_nodes:
            if parent in members:
                nodes[parent] = max(depth + 1, nodes.get(parent, 0))
    return nodes, operations


def _disconnected(tensor, place):
    who = f"Output with path `{place}` is not connected to `inputs`"
    if node_of(tensor) is None:
        return ValueError(
            "keras.Model: every tensor of the graph must come from a layer or from an operation of "
            f"`keras.ops` that keeps track of its inputs. {who}: it needs one that comes from "
            f"neither. Wrap such computations in a layer's call(). Received: {tensor!r}"
        )
    return ValueError(
        f"keras.Model: `outputs` must be computed from `inputs` alone. {who}: it needs a tensor "
        f"that is not (the graph is disconnected). Received: {tensor!r}"
    )


def _filler(structure, slots):
    """A function of the values that gives `structure` with placeholders replaced by values."""
    if isinstance(structure, KerasTensor):
        return operator.itemgetter(slots[id(structure)])
    if isinstance(structure, (list, tuple)) and not hasattr(structure, "_fields"):
        kind = type(structure) if type(structure) in (list, tuple) else list
        if len(structure) > 1 and all(isinstance(leaf, KerasTensor) for leaf in structure):
            get = operator.itemgetter(*[slots[id(leaf)] for leaf in structure])
            return get if kind is tuple else lambda values: list(get(values))
        parts = [_filler(part, slots) for part in structure]
        return lambda values: kind([part(values) for part in parts])
    if isinstance(structure, dict):
        items = [(key, _filler(value, slots)) for key, value in structure.items()]
        return lambda values: {key: part(values) for key, part in items}
    if tree.is_nested(structure):  # a named tuple
        parts = [_filler(part, slots) for part in structure]
        return lambda values: type(structure)(*[part(values) for part in parts])
    return lambda values: structure


def from_inputs(inputs, outputs, make_input):
    """`inputs` and `outputs` of a copy of the calls between, which starts at Inputs of its own.

    `make_input(tensor)` gives the Input that stands for an intermediate tensor. Layers are shared:
    each gets one node more.
    """
    new = {}
    for tensor in tree.flatten(inputs):
        node = node_of(tensor)
        if id(tensor) not in new:
            is_input = node is not None and node.is_input
            new[id(tensor)] = tensor if is_input else make_input(tensor)

    def fresh(leaf):
        if not isinstance(leaf, KerasTensor):
            return leaf
        if id(leaf) not in new:
            name = f"{leaf.name}_clone"
            new[id(leaf)] = KerasTensor(leaf.shape, leaf.dtype, name=name)
            if getattr(leaf, "mask", None) is not None:
                new[id(leaf)].mask = leaf.mask
        return new[id(leaf)]

    ordered, _ = calls_between(tree.flatten(inputs), tree.flatten(outputs))
    for node in ordered:
        if node.is_input:
            for tensor in node.outputs:
                new.setdefault(id(tensor), tensor)
            continue
        args, kwargs = tree.map_structure(fresh, (node.args, node.kwargs))
        # An output that the caller named as an input has its Input already.
        results = [
            KerasTensor(leaf.shape, leaf.dtype) if id(leaf) in new else fresh(leaf)
            for leaf in node.outputs
        ]
        Node(node.operation, args, kwargs, results, node.implied)
    return tree.map_structure(fresh, inputs), tree.map_structure(fresh, outputs)
