"""One network in PyTorch's own words, in a process of its own; prints one JSON line.

Channels last, a fused Adam, the loss and the accuracy summed as tensors and read once an epoch, and
inference mode for predictions: what a PyTorch user writes for speed without a C++ compiler. The
data, the weights at the start, the batches' size and the warm-up are timing_child.py's.
"""

import timing_child


def convolution(torch, layer, kernel, bias):
    """A convolution from a kernel (window, window, inputs, filters)."""
    filters = layer.outputs[2]
    made = torch.nn.Conv2d(layer.inputs[2], filters, layer.window, padding="same")
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(kernel).permute(3, 2, 0, 1))
        made.bias.copy_(torch.from_numpy(bias))
    return made


def dense(torch, layer, kernel, bias, image):
    """A dense layer; after an image (H, W, C) was flattened its rows are in the order C, H, W."""
    kernel = torch.from_numpy(kernel)
    if image:
        kernel = kernel.reshape(*image, -1).permute(2, 0, 1, 3).reshape(layer.inputs[0], -1)
    made = torch.nn.Linear(layer.inputs[0], layer.outputs[0])
    with torch.no_grad():
        made.weight.copy_(kernel.T)
        made.bias.copy_(torch.from_numpy(bias))
    return made


def network(torch, layers, weights):
    """The layers as a Sequential; it ends with logits."""
    parts, weights, image = [], iter(weights), None
    for layer in layers:
        if layer.kind == "C":
            parts.append(convolution(torch, layer, next(weights), next(weights)))
        elif layer.kind == "D":
            parts.append(dense(torch, layer, next(weights), next(weights), image))
            image = None
        elif layer.kind == "M":
            parts.append(torch.nn.MaxPool2d(layer.window))
        elif layer.kind == "F":
            parts.append(torch.nn.Flatten())
            image = layer.inputs
        else:
            parts.append(torch.nn.Dropout(layer.rate))
        if layer.activation == "r":
            parts.append(torch.nn.ReLU())
    return torch.nn.Sequential(*parts).to(memory_format=torch.channels_last)


def epoch_of(torch, model, x, y, batch, device):
    """A function that trains one shuffled epoch and gives the mean loss."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
    cross_entropy = torch.nn.CrossEntropyLoss()

    def epoch():
        model.train()
        total = torch.zeros((), device=device)
        hits = torch.zeros((), dtype=torch.int64, device=device)
        for chosen in torch.randperm(len(x)).split(batch):
            images, labels = x[chosen].to(device), y[chosen].to(device)
            adam.zero_grad(set_to_none=True)
            logits = model(images)
            loss = cross_entropy(logits, labels)
            loss.backward()
            adam.step()
            total += loss.detach() * len(labels)
            hits += (logits.detach().argmax(1) == labels).sum()
        hits.item()
        return total.item() / len(x)

    return epoch


def measure(spec):
    """All numbers of one process; times in seconds."""
    import_time, torch = timing_child.timed(lambda: __import__("torch"))
    import networks

    images, labels = timing_child.data_of(spec)
    # A view (N, C, H, W) of channels-last memory: no copy.
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels).long()
    layers = networks.layers_of(spec["structure"], spec["shape"])
    weights = networks.initial_weights(spec["structure"], spec["shape"], spec["seed"])
    torch.manual_seed(spec["seed"])
    device = torch.device("cuda" if spec.get("device") == "gpu" else "cpu")
    build_time, model = timing_child.timed(lambda: network(torch, layers, weights).to(device))

    def call(values):
        model.eval()
        with torch.inference_mode():
            return model(values.to(device)).softmax(1).cpu().numpy()

    batch = spec["batch"]
    initial = timing_child.cross_entropy(call(x[:batch]), labels[:batch])
    epoch = epoch_of(torch, model, x, y, batch, device)
    first_time, first_loss = timing_child.timed(epoch)
    found = {
        "import": import_time,
        "first_epoch": import_time + build_time + first_time,
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": [first_loss],
        "initial_loss": initial,
    }
    if spec["until"] != "first epoch":
        numbers, losses = timing_child.training_numbers(epoch, spec)
        found["losses"] += losses
        found |= numbers
    if spec["until"] == "end":
        called = timing_child.calling_numbers("call", call, x, batch)
        # It has one way to be called: what both of ours are compared with.
        found |= {**called, **{name.replace("call", "on_batch"): called[name] for name in called}}
    found["memory"] = timing_child.peak_megabytes()
    return found


if __name__ == "__main__":
    timing_child.main(measure)
