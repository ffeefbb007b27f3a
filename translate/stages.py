"""Stages: how the statistics of a picture of any size are taken norm by norm, in tiles, as a plan beside the exported graph.

Every norm but the first sees what the norms before it made of the whole picture. So the picture is gone through once for each
norm, from a set of values that was kept for it, to the input of the norm. What would take too much memory to keep is computed
again, from the set before.
"""

from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime

from translate.runtime.card import Card, Stage, Stages

KEPT = 40
"""Numbers for each pixel of the picture that may be kept at a time, where that will do: width 64 needs no more."""
WEIGHTED = ("Conv", "ConvTranspose", "Resize")
"""Operators that look at neighbours, besides padding, which the operator behind it makes up for."""


def plan(model: onnx.ModelProto, card: Card) -> Stages:
    """The stages of an exported graph whose output `own` joins the statistics of its norms.

    Raises `ValueError` where the graph is of another form.
    """
    graph = _Graph(model, card)
    norms = graph.norms()
    after = graph.after(norms)
    cuts = [graph.cut(norms, after, k) for k in range(len(norms))]
    kept = _kept(graph, cuts)
    stages, held, start = [], 0.0, list[str]()
    for k, norm in enumerate(norms):
        keep = cuts[k] if k in kept else []
        held = max(held, graph.held(start, keep))
        stages.append(
            Stage(
                start={name: graph.reduction(name) for name in start},
                keep={name: graph.reduction(name) for name in keep},
                norm=norm,
                reduction=graph.reduction(norm),
                halo=graph.halo([norm, *keep], start),
            )
        )
        start = keep or start
    return Stages(stages=stages, held=held, widest=max(graph.numbers([name]) for name in graph.shapes))


def _kept(graph: "_Graph", cuts: list[list[str]]) -> set[int]:
    """Which of the cuts are kept, so that little is computed again: as few layers as can be, within the memory."""
    limit = float(KEPT)
    while True:
        # best[k]: layers computed up to the k-th cut, which is kept, and the cut that was kept before it; the end is kept too
        best: dict[int, tuple[int, int]] = {-1: (0, -1)}
        for k, keep in enumerate([*cuts[:-1], []]):
            ways = [
                (work + (k - j) * (k - j + 1) // 2, j)
                for j, (work, _) in best.items()
                if graph.held(cuts[j] if j >= 0 else [], keep) <= limit
            ]
            if ways:
                best[k] = min(ways)
        end = len(cuts) - 1
        if best[end][0] <= 2 * len(cuts) or limit > graph.numbers(graph.shapes):
            kept, k = set[int](), best[end][1]
            while k >= 0:
                kept.add(k)
                k = best[k][1]
            return kept
        limit *= 1.25


class _Graph:
    """Who makes which value, out of what, and the shapes of those that are maps of the picture."""

    def __init__(self, model: onnx.ModelProto, card: Card) -> None:
        self.nodes = list(model.graph.node)
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.side = 2 * card.stride
        self.shapes = self._probed(model, card)

    def norms(self) -> list[str]:
        """What each norm normalises, in the order of the statistics."""
        found = []
        for name in self.maker["own"].input:
            node = self.maker[name]
            while node.op_type != "ReduceMean":
                if node.input[0] not in self.maker:
                    raise ValueError("the statistics in 'own' are no means of values of the network")
                node = self.maker[node.input[0]]
            found.append(node.input[0])
        return found

    def after(self, norms: list[str]) -> dict[str, int]:
        """For each value that depends on the pixels, how many norms stand before it."""
        after = {"image": 0}
        for node in self.nodes:
            known = [after[name] for name in node.input if name in after]
            if known and node.op_type != "Shape":
                counted = [norms.index(node.input[0]) + 1] if node.op_type == "ReduceMean" and node.input[0] in norms else []
                after |= dict.fromkeys(node.output, max(known + counted))
        return after

    def cut(self, norms: list[str], after: dict[str, int], k: int) -> list[str]:
        """The maps made before the k-th norm works that it and later norms need."""
        needed = self._upstream(norms[k + 1 :], [])
        used = {
            name for node in needed if max((after.get(made, 0) for made in node.output), default=0) > k for name in node.input
        }
        return [name for name in self.shapes if name in used and after.get(name, k + 1) <= k]

    def halo(self, targets: list[str], start: Iterable[str]) -> int:
        """Pixels around a tile on which `targets` depend: an upper bound."""
        reach = 0
        for node in self._upstream(targets, start):
            if node.op_type in WEIGHTED:
                kernel = next((list(a.ints) for a in node.attribute if a.name == "kernel_shape"), [2])
                maps = [self.reduction(name) for name in (node.input[0], node.output[0]) if name in self.shapes]
                reach += (max(kernel) - 1) * max(maps, default=1)
        return reach

    def held(self, start: list[str], keep: list[str]) -> float:
        """Numbers for each pixel in memory while `keep` is made out of `start`, in whose place it goes where it has its shape."""
        made = [name for name in keep if name not in start]
        for name in set(start) - set(keep):
            match = next((other for other in made if self.shapes[other] == self.shapes[name]), None)
            if match is not None:
                made.remove(match)
        return self.numbers([*start, *made])

    def numbers(self, names: Iterable[str]) -> float:
        """For each pixel of the picture."""
        return sum(int(np.prod(self.shapes[name])) for name in names) / self.side**2

    def reduction(self, name: str) -> int:
        return self.side // self.shapes[name][2]

    def _upstream(self, targets: Iterable[str], start: Iterable[str]) -> list[onnx.NodeProto]:
        waiting, seen, found = list(targets), set(start), []
        while waiting:
            name = waiting.pop()
            if name not in seen and name in self.maker:
                seen.add(name)
                node = self.maker[name]
                found.append(node)
                waiting += node.input
        return found

    def _probed(self, model: onnx.ModelProto, card: Card) -> dict[str, tuple[int, ...]]:
        """Shapes of the maps `[1, C, H, W]` of a picture of two strides."""
        copy = onnx.shape_inference.infer_shapes(model)
        typed = {value.name: value.type.tensor_type.elem_type for value in copy.graph.value_info}
        floats = [name for name in self.maker if typed.get(name) == onnx.TensorProto.FLOAT]
        copy.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in floats)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = {"image": np.zeros((1, self.side, self.side, 3), np.float32)}
        if card.noise is not None:
            cells = self.side // card.noise.every
            feeds["noise"] = np.zeros((1, cells, cells, card.noise.channels), np.float32)
        for value in session.get_inputs():
            if value.name not in feeds:
                feeds[value.name] = np.zeros(value.shape, np.float32)
        shapes = {name: array.shape for name, array in zip(floats, session.run(floats, feeds), strict=True)}
        return {
            name: shape
            for name, shape in shapes.items()
            if len(shape) == 4 and shape[2] == shape[3] > 1 and self.side % shape[2] == 0
        }
