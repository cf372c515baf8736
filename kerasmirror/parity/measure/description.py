"""What a model says of itself: its inputs, outputs and losses, as plain data."""

from .nests import map_named


def description(model):
    """A dict of what made data must fit; shapes are None where the model does not know them.

    `inputs` and `outputs` are (nest of numbers, list of what is known of each): of an input
    `shape`, `dtype` and `tokens`, below which whole numbers must stay; of an output `shape`,
    `name`, `loss`, the name of the loss it was compiled with or None, and `logits`, whether its
    layer is known to end without a softmax. `compiled`: whether it
    was.
    """
    compiled = getattr(model, "optimizer", None) is not None
    loss = model.loss if compiled else None
    return {
        "inputs": _leaves(model, "input", lambda *leaf: _input(model, *leaf)),
        "outputs": _leaves(model, "output", lambda *leaf: _output(model, loss, *leaf)),
        "compiled": compiled,
    }


def _leaves(model, name, describe):
    try:
        tensors = getattr(model, f"{name}s", None)
    except (AttributeError, ValueError):  # a Sequential model that is not built yet
        tensors = None
    if not tensors:
        return None
    nest = getattr(model, name) if hasattr(model, f"_{name}s_struct") else list(tensors)
    if (
        isinstance(nest, (list, tuple))
        and len(nest) == 1
        and not hasattr(model, f"_{name}s_struct")
    ):
        nest = nest[0]
    found = []

    def taken(key, tensor):
        found.append(describe(key, tensor))
        return len(found) - 1

    numbers = map_named(taken, nest)
    return numbers, found


def _input(model, key, tensor):
    shape = tuple(tensor.shape)
    return {"shape": shape, "dtype": str(tensor.dtype), "tokens": _tokens(model)}


def _tokens(layer):
    """How many different tokens the embeddings inside take: the fewest of them; 2 without one."""
    found, waiting = [], [layer]
    while waiting:
        one = waiting.pop()
        found += [n for n in (getattr(one, "input_dim", 0), getattr(one, "num_tokens", 0)) if n]
        waiting.extend(getattr(one, "_layers", ()))
    return min(found, default=2)


def _output(model, loss, key, tensor):
    names = getattr(model, "output_names", None) or []
    place = next((i for i, other in enumerate(model.outputs) if other is tensor), None)
    name = names[place] if place is not None and place < len(names) else key
    if isinstance(loss, dict):
        loss = loss.get(key, loss.get(name))
    elif isinstance(loss, (list, tuple)):
        loss = loss[place] if place is not None and place < len(loss) else None
    last = next((layer for layer in model.layers if layer.name == name), None)
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    return {
        "shape": tuple(tensor.shape),
        "name": name,
        "loss": _name_of(loss),
        "logits": activation not in (None, "softmax"),
    }


def _name_of(loss):
    if loss is None or isinstance(loss, str):
        return loss
    return getattr(loss, "__name__", type(loss).__name__)
