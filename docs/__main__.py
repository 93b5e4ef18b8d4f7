"""Writes what follows from code: README's settings and functions, Hub's file, `meltano.yml`."""

from __future__ import annotations

from docs import functions, hub, meltano, readme
from docs.about import about


def main() -> None:
    """Write the files anew."""
    told = about()
    hub.TARGET.write_text(hub.render(hub.definition(told)), encoding="utf-8")
    for file, render in ((readme.README, readme.render), (meltano.TARGET, meltano.render)):
        file.write_text(render(file.read_text(encoding="utf-8"), told), encoding="utf-8")
    text = readme.README.read_text(encoding="utf-8")
    readme.README.write_text(functions.render(text), encoding="utf-8")


if __name__ == "__main__":
    main()
