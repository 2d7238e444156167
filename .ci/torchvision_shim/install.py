"""Copies the torchvision shim into this environment, only where torchvision fails without it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SHIM = Path(__file__).with_name("_nnmtl_torchvision_shim.py")


def torchvision_imports() -> bool:
    command = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    if torchvision_imports():
        return 0
    site_packages = Path(sysconfig.get_paths()["purelib"])
    shutil.copy(SHIM, site_packages / SHIM.name)
    (site_packages / f"{SHIM.stem}.pth").write_text(f"import {SHIM.stem}\n")
    if torchvision_imports():
        print("torchvision has no operators for this torch: installed a shim for its Python code")
        return 0
    print("error: torchvision does not import, with the shim neither", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
