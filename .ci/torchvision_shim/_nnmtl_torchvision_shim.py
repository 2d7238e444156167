"""Lets torchvision be imported beside a CPU-only torch, for its Python code alone.

The wheel of torchvision that fits a release of torch may be built for CUDA only. Beside a CPU torch
its library of operators does not load, and `import torchvision` then fails, because it describes
two operators that nobody has defined. This finder defines their names, without an implementation,
just before torchvision is imported, and imports nothing at start-up. For development environments
only; never in the wheel.
"""

import sys

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class _DefineOperatorsFirst:
    """A finder that finds nothing: it acts once, when torchvision is first looked for."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            # The names live as long as the library object, so it is kept.
            self.library = torch.library.Library("torchvision", "FRAGMENT")
            for schema in SCHEMAS:
                self.library.define(schema)
            sys.modules[__name__].kept = self


sys.meta_path.insert(0, _DefineOperatorsFirst())
