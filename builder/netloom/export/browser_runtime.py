"""ONNX Runtime for browsers, which npm gets once, and the data folder keeps: the files that a page loads.

The address of the registry, a proxy and credentials are those that npm is set up with on this machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from netloom.export.format import ExportError

PACKAGE = "onnxruntime-web"
# The version that the tests run
VERSION = "1.30.0"
# The files of a page with the SHA-256 of that version: a changed file is discarded, also one from a mirror.
FILES: Mapping[str, str] = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
# Of a package of 33 MB
DOWNLOAD_S = 300
MISSING = (
    "ONNX Runtime is downloaded by npm, which is not installed on this machine. Install Node.js, which includes npm, "
    "or export the page without ONNX Runtime and install it where the page is served."
)
_ERROR_CODE = re.compile(r"^npm (?:error|ERR!) code (\w{2,40})$", re.MULTILINE)


def unavailable_reason(home: Path) -> str:
    """Return why the files cannot be included on this machine, and what to install, as a sentence; "" if they can."""
    is_known = all((_folder(home) / name).is_file() for name in FILES)
    return "" if is_known or shutil.which("npm") else MISSING


def runtime_files(home: Path) -> dict[str, bytes]:
    """Return the files by name: those in the data folder, or, if there are none, those that npm downloads into it.

    Raises:
        ExportError: npm is missing or fails, or the files are not those of this version.
        OSError: the files cannot be written.
    """
    try:
        return _read(_folder(home))
    except (FileNotFoundError, ExportError):  # not downloaded yet, or damaged since
        _download(home)
        return _read(_folder(home))


def _folder(home: Path) -> Path:
    return home / PACKAGE / VERSION


def _read(folder: Path) -> dict[str, bytes]:
    contents = {name: (folder / name).read_bytes() for name in FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != FILES[name]:
            raise ExportError(
                f"The file {name} is not that of {PACKAGE} {VERSION}, so it was discarded; check the registry that npm "
                "uses, or export the page without ONNX Runtime."
            )
    return contents


def _download(home: Path) -> None:
    """Put the files into the data folder, so that another process sees all of them or none."""
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(MISSING)
    folder = _folder(home)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        archive = _packed(npm, temporary)
        unpacked = temporary / "files"
        unpacked.mkdir()
        with tarfile.open(archive) as package:
            for name in FILES:
                content = package.extractfile(f"package/dist/{name}")
                if content is None:
                    raise KeyError(name)
                (unpacked / name).write_bytes(content.read())
        _read(unpacked)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unpacked, folder)
    except (KeyError, tarfile.TarError):
        raise ExportError(f"npm downloaded {PACKAGE} {VERSION} without the files of the page.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _packed(npm: str, folder: Path) -> Path:
    """Return the archive of the package, which npm downloads into a folder without its dependencies and scripts."""
    command = [npm, "pack", "--ignore-scripts", "--pack-destination", str(folder), f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_S
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"npm did not download {PACKAGE} {VERSION} within {DOWNLOAD_S} seconds; try again.") from None
    archive = next(folder.glob("*.tgz"), None)
    if done.returncode or archive is None:
        code = _ERROR_CODE.search(done.stderr)
        reason = f" ({code[1]})" if code else ""
        raise ExportError(
            f"npm cannot download {PACKAGE} {VERSION}{reason}. Check the network and the registry that npm uses, or "
            "export the page without ONNX Runtime and install it where the page is served."
        )
    return archive
