"""On PYTHONPATH of a test's processes: torchvision is imported also where its compiled operators do not fit torch.

timm and the classification models need none of those operators, but torchvision looks two of them up when it is
imported; declaring their names is enough. A torchvision that fits is imported as ever.
"""

import importlib.machinery
import sys

_KEPT = []  # torch forgets the names with the library object


class _Loader:
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        try:
            self._loader.exec_module(module)
        except (RuntimeError, AttributeError):
            import torch

            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _KEPT.append(library)
            self._loader.exec_module(module)


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder)
