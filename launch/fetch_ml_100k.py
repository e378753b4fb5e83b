#!/usr/bin/env python3
"""Fetches MovieLens-100K out of the Python package recbole 1.2.1 into a folder.

Downloads the package file, takes two text files out of it, and checks their sums. Nothing is
installed and none of the package's code is run. Exit 1, with one line, when it cannot be had.
"""
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}


class CannotFetch(Exception):
    pass


def download(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--retries=1", "--timeout=20", "--dest", folder,
               "recbole==1.2.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotFetch(f"pip cannot download recbole 1.2.1: {reason}")
    packages = glob.glob(os.path.join(folder, "recbole-*.whl"))
    if not packages:
        raise CannotFetch("pip downloaded recbole 1.2.1, but there is no recbole-*.whl")
    return packages[0]


def write_whole(path, content):
    """Under the final name whole or not at all."""
    try:
        with open(path + ".tmp", "wb") as file:
            file.write(content)
        os.replace(path + ".tmp", path)
    except OSError:
        if os.path.exists(path + ".tmp"):
            os.remove(path + ".tmp")
        raise


def unpack(package_path, target):
    with zipfile.ZipFile(package_path) as package:
        for name, expected in FILES.items():
            content = package.read(f"recbole/dataset_example/ml-100k/{name}")
            found = hashlib.sha256(content).hexdigest()
            if found != expected:
                raise CannotFetch(f"{name}: sha256 is {found}, expected {expected}")
            write_whole(os.path.join(target, name), content)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: fetch_ml_100k.py FOLDER")
    target = sys.argv[1]
    try:
        if not os.path.isdir(target):
            raise CannotFetch(f"{target}: no such folder")
        with tempfile.TemporaryDirectory() as folder:
            unpack(download(folder), target)
    except (CannotFetch, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"fetch_ml_100k: {error}")
    except KeyError as error:
        sys.exit(f"fetch_ml_100k: {error.args[0]}")  # "There is no item named ... in the archive"
    print(f"MovieLens-100K fetched into {target} (research use only, see grouplens.org)")


if __name__ == "__main__":
    main()
