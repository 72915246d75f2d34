"""Put a mutated module in the place of the original, in this process and in those it starts.

Python imports a module of this name at its start when the folder is in PYTHONPATH: after the
finder of an editable installation took its place, which is why ours gets in front of it. The module
keeps its name, its folder and its compiled neighbours; only its source is another.
"""

import os
import sys

if "MUTANTS_MODULE" in os.environ:
    import importlib.util
    from importlib.abc import MetaPathFinder, SourceLoader

    class _Loader(SourceLoader):
        def __init__(self, origin):
            self._origin = origin

        def get_filename(self, fullname):
            return self._origin

        def get_data(self, path):
            # The byte code of the original is no use: there is none that fits.
            if path != self._origin:
                raise OSError(path)
            with open(os.environ["MUTANTS_SOURCE"], "rb") as file:
                return file.read()

    class _Finder(MetaPathFinder):
        def find_spec(self, fullname, path, target=None):
            if fullname != os.environ["MUTANTS_MODULE"]:
                return None
            for finder in sys.meta_path:
                if finder is self or not hasattr(finder, "find_spec"):
                    continue
                found = finder.find_spec(fullname, path, target)
                if found is not None and found.origin is not None:
                    return importlib.util.spec_from_file_location(
                        fullname, found.origin, loader=_Loader(found.origin)
                    )
            return None

    sys.meta_path.insert(0, _Finder())
