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


def download(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--retries=1", "--timeout=20", "--dest", folder,
               "recbole==1.2.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        sys.exit(f"fetch_ml_100k: pip cannot download recbole 1.2.1: {reason}")
    return glob.glob(os.path.join(folder, "recbole-*.whl"))[0]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: fetch_ml_100k.py FOLDER")
    target = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(download(folder)) as package:
            for name, expected in FILES.items():
                content = package.read(f"recbole/dataset_example/ml-100k/{name}")
                found = hashlib.sha256(content).hexdigest()
                if found != expected:
                    sys.exit(f"fetch_ml_100k: {name}: sha256 is {found}, expected {expected}")
                temporary = os.path.join(target, name + ".tmp")
                with open(temporary, "wb") as file:
                    file.write(content)
                os.replace(temporary, os.path.join(target, name))
    print(f"MovieLens-100K fetched into {target} (research use only, see grouplens.org)")


if __name__ == "__main__":
    main()
