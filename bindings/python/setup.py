"""Takes build/lib/libmue.so of the checkout into the package, when `make build` has made it.

The package itself is pure Python; a wheel with the library in it belongs to one platform, and to any Python 3.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

LIBRARY = Path(__file__).resolve().parents[2] / "build" / "lib" / "libmue.so"


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if LIBRARY.exists() and not self.editable_mode:
            shutil.copyfile(LIBRARY, Path(self.build_lib) / "mue" / "libmue.so")


class PlatformWheel(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        if LIBRARY.exists():
            self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        tag = super().get_tag()
        return ("py3", "none", tag[2]) if LIBRARY.exists() else tag


setup(cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
