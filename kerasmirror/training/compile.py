"""CompileLoss and CompileMetrics: what `compile` was given, applied to one or many outputs."""

from __future__ import annotations

from kerasmirror import losses as losses_module
from kerasmirror import metrics as metrics_module
from kerasmirror import ops
from kerasmirror.core import tree
from kerasmirror.core.names import to_snake_case
from kerasmirror.losses.loss import LossFunctionWrapper
from kerasmirror.metrics.metric import Metric
from kerasmirror.training import loss_nests


def _kind_of_targets(y_true, y_pred):
    """ "binary", "sparse" or "categorical": what "accuracy" and "crossentropy" mean here."""
    if len(y_pred.shape) and y_pred.shape[-1] == 1:
        return "binary"
    true_rank, pred_rank = len(y_true.shape), len(y_pred.shape)
    if true_rank < pred_rank or (y_true.shape[-1] == 1 and y_pred.shape[-1] != 1):
        return "sparse"
    return "categorical"


def _name_of(function):
    name = getattr(function, "name", None)
    return name or to_snake_case(getattr(function, "__name__", type(function).__name__))


def metric_for(identifier, y_true, y_pred):
    """A Metric for a name, a function or a Metric; "accuracy" suits the targets."""
    if identifier is None:
        return None
    if str(identifier).lower() in ("accuracy", "acc"):
        cls = {
            "binary": metrics_module.BinaryAccuracy,
            "sparse": metrics_module.SparseCategoricalAccuracy,
            "categorical": metrics_module.CategoricalAccuracy,
        }[_kind_of_targets(y_true, y_pred)]
        return cls(name=str(identifier))
    if str(identifier).lower() in ("crossentropy", "ce"):
        cls = {
            "binary": metrics_module.BinaryCrossentropy,
            "sparse": metrics_module.SparseCategoricalCrossentropy,
            "categorical": metrics_module.CategoricalCrossentropy,
        }[_kind_of_targets(y_true, y_pred)]
        return cls(name=str(identifier))
    metric = metrics_module.get(identifier)
    name = identifier if isinstance(identifier, str) else _name_of(metric)
    if not isinstance(metric, metrics_module.Metric):
        metric = metrics_module.MeanMetricWrapper(metric, name=name)
    elif isinstance(identifier, str):
        metric.name = name
    return metric


def loss_for(identifier, y_true, y_pred):
    """A Loss for a name, a function or a Loss; "crossentropy" suits the targets."""
    if identifier is None:
        return None
    if str(identifier).lower() in ("crossentropy", "ce"):
        loss = {
            "binary": losses_module.binary_crossentropy,
            "sparse": losses_module.sparse_categorical_crossentropy,
            "categorical": losses_module.categorical_crossentropy,
        }[_kind_of_targets(y_true, y_pred)]
    else:
        loss = losses_module.get(identifier)
    if not isinstance(loss, losses_module.Loss):
        name = identifier if isinstance(identifier, str) else _name_of(loss)
        loss = LossFunctionWrapper(loss, name=name)
    return loss


def per_output(given, y_pred, output_names, argument, one_per_output):
    """What `compile` was given for `argument`, as one entry per output, in the outputs' order.

    A single entry stands for every output. `one_per_output` tells whether a list counts as one
    entry per output (losses) or belongs to a single output as it is (metrics).
    Raises: ValueError when names or numbers do not match.
    """
    count = len(tree.flatten(y_pred))
    if is_deep(y_pred) and isinstance(given, (list, tuple, dict)) and count > 1:
        return _along(given, y_pred, argument, ())
    names = list(output_names or [])
    if isinstance(y_pred, dict):
        names = tree.flatten({key: key for key in y_pred})
    if isinstance(given, dict):
        known = names or ([next(iter(given))] if count == 1 and len(given) == 1 else [])
        unknown = [key for key in given if key not in known]
        if unknown:
            raise _unknown_names(argument, known, unknown, isinstance(y_pred, dict))
        return [given.get(name) for name in known]
    if isinstance(given, (list, tuple)) and (one_per_output or count > 1):
        if len(given) != count:
            raise ValueError(
                f"Model.compile: `{argument}` must have one entry for each of the {count} "
                f"output(s). Received: {argument}={given!r}"
            )
        return list(given)
    return [given] * count


def _unknown_names(argument, known, unknown, is_dict):
    """The error for keys that are no names of outputs, of Keras's type for each argument."""
    if argument == "loss" and is_dict:
        return KeyError(
            f"Model.compile: the paths {unknown} in the `loss` argument, can't be found in either "
            f"the model's output or in the labels; its keys must be names of outputs, {known}."
        )
    what = f"Invalid `{argument}`: " if argument != "loss" else ""
    wanted = f"Expected keys {known} in `loss`" if argument == "loss" else f"names are {known}"
    return ValueError(
        f"Model.compile: {what}the keys of `{argument}` must be names of outputs ({wanted}). "
        f"Received: {argument} with {unknown}"
    )


def is_deep(y_pred):
    """Whether outputs are a nest within a nest."""
    if not tree.is_nested(y_pred):
        return False
    inner = y_pred.values() if isinstance(y_pred, dict) else y_pred
    return any(tree.is_nested(part) for part in inner)


def _along(given, y_pred, argument, path):
    """The parts of `given` that stand where the outputs of a deep nest stand, in their order."""
    if not tree.is_nested(y_pred):
        return [given]
    count = len(tree.flatten(y_pred))
    if given is None:
        return [None] * count
    if isinstance(given, (list, tuple)) and len(given) == count and not is_deep(given):
        return list(given)
    if isinstance(y_pred, dict):
        fits = isinstance(given, dict) and set(given) <= set(y_pred)
        steps = tree.flatten({key: key for key in y_pred})
    else:
        fits = isinstance(given, (list, tuple)) and len(given) == len(y_pred)
        steps = range(len(y_pred))
    if not fits:
        shape = tree.map_structure(lambda _: "*", y_pred)
        place = f" at {list(path)}" if path else ""
        raise ValueError(
            f"Model.compile: `{argument}` must be nested as the model's outputs, {shape}{place}. "
            f"Received: {argument}={given!r}"
        )
    parts = []
    for step in steps:
        inner = given.get(step) if isinstance(given, dict) else given[step]
        parts.extend(_along(inner, y_pred[step], argument, (*path, step)))
    return parts


def names_of_outputs(y_pred, output_names):
    """A name for each output: its keys in a nest, else what the model calls it; or None."""
    flat = tree.flatten_with_path(y_pred)
    if isinstance(y_pred, dict) or is_deep(y_pred):
        names = []
        for place, (path, _) in enumerate(flat):
            if path and isinstance(path[-1], int) and output_names:
                path = (*path[:-1], output_names[place])
            names.append("/".join(str(step) for step in path))
        return names
    return list(output_names) if output_names else None


def outputs_like(y_true, y_pred, names=None, losses=None):
    """The targets in the order of the outputs.

    With `losses`, as many targets as there are losses will do: the outputs without one get None.
    Raises: ValueError when their numbers differ.
    """
    if isinstance(y_true, dict) and not isinstance(y_pred, dict) and names:
        return [y_true[name] for name in names]
    flat = tree.flatten(y_true)
    expected = len(tree.flatten(y_pred))
    if len(flat) != expected:
        used = [loss for loss in losses or () if loss is not None]
        if used and len(flat) == len(used):
            remaining = iter(flat)
            return [None if loss is None else next(remaining) for loss in losses]
        raise ValueError(
            f"Model: `y` must have one array for each of the model's {expected} output(s) "
            "(y_true and y_pred have different structures). "
            f"Received: {len(flat)} array(s)"
        )
    if isinstance(y_true, dict):
        keys = sorted(y_pred) if isinstance(y_pred, dict) else None
        if keys != sorted(y_true):
            outputs = f"a dict with {keys}" if keys else "no dict"
            raise ValueError(
                f"Model: `y` must have the structure of the model's output, which is {outputs}. "
                f"Received: a dict with {sorted(y_true)}"
            )
    return flat


class CompileLoss:
    """The loss of every output, weighted and added up; tracks each when there are several."""

    def __init__(self, loss, loss_weights=None, output_names=None):
        if loss_weights and not isinstance(loss_weights, (list, tuple, dict, float, int)):
            raise ValueError(
                "Model.compile: `loss_weights` must be a float, or a list or dict with one for "
                f"each output. Received: loss_weights={loss_weights!r}"
            )
        self.given = loss
        self.given_weights = loss_weights
        self.output_names = output_names
        self.built = False
        self.losses = []
        self.parts = None  # instead of `losses`, where they were given in a nest of their own
        self.metrics = []
        self._trackers = ()  # the metrics in the order of `losses`
        # A wrong name is told at compile time, not after the data has been read.
        for leaf in tree.flatten(loss):
            if isinstance(leaf, str) and leaf.lower() not in ("crossentropy", "ce"):
                losses_module.get(leaf)

    @property
    def variables(self):
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true, y_pred):
        """Settle on a loss for each output of these shapes."""
        flat_pred = tree.flatten(y_pred)
        try:
            given = per_output(self.given, y_pred, self.output_names, "loss", True)
        except ValueError:
            if not loss_nests.is_nest_of_nests(self.given):
                raise
            given = [self.given]
        if any(tree.is_nested(one) for one in given):
            self._build_parts(y_true, y_pred)
            return
        flat_true = outputs_like(y_true, y_pred, self.output_names, given)
        self.losses = [
            loss_for(one, t, p) for one, t, p in zip(given, flat_true, flat_pred, strict=True)
        ]
        weights = self.given_weights
        self.weights = (
            [None] * len(flat_pred)
            if weights is None
            else per_output(weights, y_pred, self.output_names, "loss_weights", True)
        )
        used = [i for i, loss in enumerate(self.losses) if loss is not None]
        if len(used) > 1:
            names = names_of_outputs(y_pred, self.output_names)
            if names is None or len(names) != len(self.losses):
                names = [loss and loss.name for loss in self.losses]
            self._trackers = [metrics_module.Mean(name=f"{names[i]}_loss") for i in used]
            self.metrics = self._in_order_given(y_pred, [names[i] for i in used])
        self.built = True

    def _in_order_given(self, y_pred, names):
        """The trackers as they are reported: outputs of a dict in the order of a dict of losses."""
        order = list(self.given) if isinstance(self.given, dict) else []
        if not (isinstance(y_pred, dict) and set(names) <= set(order)):
            return self._trackers
        by_place = sorted(zip(names, self._trackers, strict=True), key=lambda x: order.index(x[0]))
        return [tracker for _, tracker in by_place]

    def _build_parts(self, y_true, y_pred):
        """Settle on losses that were given in a nest of their own."""
        y_true = _packed_like(y_true, y_pred, self.output_names)
        parts = loss_nests.parts_of(
            self.given, self.given_weights, y_true, y_pred, self.output_names
        )
        self.parts = []
        for part in parts:
            t, p = loss_nests.at(part.path, y_true), loss_nests.at(part.path, y_pred)
            loss = loss_for(part.loss, t, p)
            self.parts.append(part._replace(loss=loss, name=part.name or loss.name))
        if len(self.parts) > 1:
            self.metrics = [metrics_module.Mean(name=f"{part.name}_loss") for part in self.parts]
        self.built = True

    def _of_parts(self, y_true, y_pred, sample_weight):
        y_true = _packed_like(y_true, y_pred, self.output_names)
        total = None
        for number, part in enumerate(self.parts):
            nests = (y_true, y_pred, sample_weight)
            t, p, w = (
                loss_nests.at(part.path, one) if tree.is_nested(one) else one for one in nests
            )
            value = part.loss(t, p, w)
            if self.metrics:
                self.metrics[number].update_state(value)
            if part.weight is not None:
                value = ops.multiply(value, float(part.weight))
            total = value if total is None else ops.add(total, value)
        return total

    def __call__(self, y_true, y_pred, sample_weight=None):
        if not self.built:
            self.build(y_true, y_pred)
        if self.parts is not None:
            return self._of_parts(y_true, y_pred, sample_weight)
        if not tree.is_nested(y_pred) and not tree.is_nested(y_true):
            return self._weighted(0, self._loss_of(0, y_true, y_pred, sample_weight))
        flat_pred = tree.flatten(y_pred)
        flat_true = outputs_like(y_true, y_pred, self.output_names, self.losses)
        flat_weight = _weights_like(sample_weight, y_pred, self.output_names)
        total = None
        trackers = iter(self._trackers)
        for i, loss in enumerate(self.losses):
            if loss is None:
                continue
            value = self._loss_of(i, flat_true[i], flat_pred[i], flat_weight[i])
            if self._trackers:
                # Batches count alike, whatever their size: so they do in Keras's graphs.
                next(trackers).update_state(value)
            value = self._weighted(i, value)
            total = value if total is None else ops.add(total, value)
        return total

    def _loss_of(self, position, y_true, y_pred, sample_weight):
        loss = self.losses[position]
        try:
            return loss(y_true, y_pred, sample_weight)
        except ValueError as error:
            if "do not broadcast" not in str(error):
                raise
            given = {"y": y_true, "sample_weight": sample_weight}
            shapes = [f"{k} of shape {tuple(v.shape)}" for k, v in given.items() if v is not None]
            raise ValueError(
                f"Model: `y` and `sample_weight` must fit the model's output of shape "
                f"{tuple(y_pred.shape)} for the loss '{_name_of(loss)}'. "
                f"Received: {', '.join(shapes)}"
            ) from error

    def _weighted(self, position, value):
        weight = self.weights[position]
        return value if weight is None else ops.multiply(value, float(weight))


def _packed_like(y_true, y_pred, names):
    """The targets nested as the outputs are."""
    if not tree.is_nested(y_pred):
        return y_true[0] if isinstance(y_true, (list, tuple)) and len(y_true) == 1 else y_true
    return tree.pack_sequence_as(y_pred, outputs_like(y_true, y_pred, names))


def _weights_like(sample_weight, y_pred, names):
    """The samples' weights for each output; a single array is for all of them."""
    count = len(tree.flatten(y_pred))
    if isinstance(sample_weight, dict) and not isinstance(y_pred, dict) and names:
        return [sample_weight.get(name) for name in names]
    flat = tree.flatten(sample_weight)
    return flat * count if len(flat) == 1 else flat


class CompileMetrics(Metric):
    """The metrics of every output, plain and weighted, under the names Keras reports them by."""

    def __init__(self, metrics, weighted_metrics, output_names=None):
        super().__init__(name="compile_metrics")
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given and not isinstance(given, (list, tuple, dict)):
                raise ValueError(
                    f"Model.compile: `{argument}` must be a list, tuple or dict. "
                    f"Received: {argument}={given!r} (of type {type(given)})"
                )
            for leaf in tree.flatten(given):
                if isinstance(leaf, str) and leaf.lower() not in _CHOSEN_BY_TARGETS:
                    metrics_module.get(leaf)
        self.given = metrics
        self.given_weighted = weighted_metrics
        self.output_names = output_names
        self.built = False
        self.plain = []
        self.weighted = []

    @property
    def metrics(self):
        return [m for _, group in self.plain + self.weighted for m in group]

    @property
    def variables(self):
        return [variable for metric in self.metrics for variable in metric.variables]

    def __setattr__(self, name, value):
        # The metrics are nobody's parts: `variables` lists what they hold.
        object.__setattr__(self, name, value)

    def build(self, y_true, y_pred):
        """Make the metrics that suit targets and outputs of these shapes."""
        self.plain = self._groups(self.given, y_true, y_pred, "metrics")
        self.weighted = self._groups(self.given_weighted, y_true, y_pred, "weighted_metrics")
        self.built = True

    def _groups(self, given, y_true, y_pred, argument):
        flat_pred = tree.flatten(y_pred)
        if not given:
            return [(None, []) for _ in flat_pred]
        flat_true = self._targets(y_true, y_pred, given)
        single = len(flat_pred) == 1
        if single and not isinstance(given, dict):
            chosen = [tree.flatten(given)]
            if None in chosen[0]:
                raise ValueError(
                    f"Model.compile: `{argument}` must be names, functions or metrics. "
                    f"Received: {argument}={given!r}"
                )
        else:
            chosen = per_output(given, y_pred, self.output_names, argument, False)
        names = names_of_outputs(y_pred, self.output_names) or [None] * len(flat_pred)
        groups = []
        for i, (group, t, p) in enumerate(zip(chosen, flat_true, flat_pred, strict=True)):
            group = group if isinstance(group, (list, tuple)) else [group]
            made = [metric_for(m, t, p) for m in group if m is not None]
            groups.append((None if single else names[i], made))
        return groups

    def _targets(self, y_true, y_pred, given):
        """The targets in the outputs' order; outputs without metrics may lack one."""
        if len(tree.flatten(y_true)) == len(tree.flatten(y_pred)):
            return outputs_like(y_true, y_pred, self.output_names)
        chosen = given
        if tree.is_nested(given):
            chosen = per_output(given, y_pred, self.output_names, "metrics", False)
        return outputs_like(y_true, y_pred, self.output_names, chosen)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if not self.built:
            self.build(y_true, y_pred)
        flat_pred = tree.flatten(y_pred)
        flat_true = self._targets(y_true, y_pred, self.given or self.given_weighted)
        weights = _weights_like(sample_weight, y_pred, self.output_names)
        for i, (t, p) in enumerate(zip(flat_true, flat_pred, strict=True)):
            for metric in self.plain[i][1]:
                metric.update_state(t, p)
            for metric in self.weighted[i][1]:
                metric.update_state(t, p, sample_weight=weights[i])

    def reset_state(self):
        for metric in self.metrics:
            metric.reset_state()

    def result(self):
        """Each metric's value, by its name; a repeated name gets a number.

        Raises: ValueError before the first `update_state`, which tells what the metrics are.
        """
        if not self.built:
            raise ValueError(
                "CompileMetrics.result: `update_state` must be called before, or `build`."
            )
        results = {}
        for groups, prefix in ((self.plain, ""), (self.weighted, "weighted_")):
            for output_name, group in groups:
                for metric in group:
                    start = f"{output_name}_" if output_name else ""
                    name = f"{start}{metric.name}"
                    if name in results and prefix:
                        name = f"{start}{prefix}{metric.name}"
                    unique, number = name, 1
                    while unique in results:
                        unique, number = f"{name}_{number}", number + 1
                    results[unique] = metric.result()
        return results


_CHOSEN_BY_TARGETS = ("accuracy", "acc", "crossentropy", "ce")
