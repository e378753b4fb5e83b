"""How a script of cases is run: SCRIPT --list, or SCRIPT PROGRAM CASE in a temporary folder."""
import os
import sys
import tempfile


def main(cases, prepare=lambda program: None):
    """cases: name -> function of the program's path. `prepare` is called first, in the folder."""
    if sys.argv[1:] == ["--list"]:
        print(";".join(cases), end="")
        return
    program, case = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="seqrank-test-") as folder:
        os.chdir(folder)
        try:
            prepare(program)
            cases[case](program)
        finally:
            os.chdir("/")
