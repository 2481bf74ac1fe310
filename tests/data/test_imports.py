"""The modules of data import one another downwards only, at the top of the file."""

import ast
from pathlib import Path

import tigon

DATA = Path(tigon.__file__).parent / "data"


def test_no_module_of_data_defers_an_import_of_another_and_there_is_no_circle():
    imports = {}
    for path in DATA.glob("*.py"):
        tree = ast.parse(path.read_text())
        every = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import)]
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        inner = {id(n) for function in functions for n in ast.walk(function)}
        deferred = [n for n in every if id(n) in inner and "tigon" in ast.unparse(n)]
        assert not deferred, f"{path.name}: {ast.unparse(deferred[0])}"
        names = [n.module or "" for n in every if isinstance(n, ast.ImportFrom)]
        imports[f"tigon.data.{path.stem}"] = {n for n in names if n.startswith("tigon.data.")}
    left = dict(imports)
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    assert not left
