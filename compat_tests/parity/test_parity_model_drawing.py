"""model_to_dot against Keras: the same boxes, frames and arrows."""

import pytest
from side_by_side import real_keras

import kerasmirror

pydot = pytest.importorskip("pydot", reason="pydot is not installed")
pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


def stack(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", trainable=False, name="out"),
        ],
        name="stack",
    )


def nest(keras):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, name="a"), layers.Dense(6, name="b")], name="inner"
    )
    deep_input = keras.Input((6,), name="deep_in")
    deep = keras.Model(deep_input, inner(deep_input), name="deep")
    first, second = keras.Input((4,), name="first"), keras.Input((6,), name="second")
    hidden = layers.Dense(6, activation="relu", name="hidden")(first)
    joined = layers.Add(name="sum")([deep(hidden), hidden, second])
    shared = layers.Dense(6, name="shared")
    return keras.Model(
        [first, second], [shared(joined), shared(second), deep(second)], name="outer"
    )


def nested_stack(keras):
    layers = keras.layers
    inner = keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")], name="inner")
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="c"), inner, layers.Dense(1, name="d")],
        name="outer",
    )


def subclassed(keras):
    class Model(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Model()
    model(kerasmirror.ops.ones((1, 2)).numpy())
    return model


def described(graph):
    """Boxes by label, frames, and arrows between labels: identities differ on the two sides."""
    boxes, frames = {}, []

    def visit(part, path):
        boxes.update({node.get_name(): node.get("label") for node in part.get_nodes()})
        arrows = [
            (path, e.get_source(), e.get_destination(), e.get("penwidth")) for e in part.get_edges()
        ]
        for cluster in part.get_subgraphs():
            inside = (*path, cluster.get_name())
            frames.append((inside, cluster.get("label"), cluster.get("style")))
            arrows += visit(cluster, inside)
        return arrows

    arrows = visit(graph, ())
    named = [(path, boxes[a], boxes[b], width) for path, a, b, width in arrows]
    settings = graph.obj_dict["attributes"]
    return sorted(map(str, boxes.values())), sorted(frames), sorted(named), settings


OPTIONS = [
    {},
    {"show_shapes": True, "show_layer_names": False},
    {"show_shapes": True, "show_dtype": True, "show_trainable": True, "rankdir": "LR", "dpi": 60},
    {"expand_nested": True, "show_layer_activations": True, "splines": "curved"},
    {"expand_nested": True, "show_shapes": True, "subgraph": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("make", [stack, nest, nested_stack, subclassed])
def test_graphs_are_the_same(tf_keras, make, options):
    theirs = tf_keras.utils.model_to_dot(make(tf_keras), **options)
    ours = kerasmirror.utils.model_to_dot(make(kerasmirror), **options)
    assert type(ours) is type(theirs)
    assert described(ours) == described(theirs)
