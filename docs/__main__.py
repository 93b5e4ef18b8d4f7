"""Writes what follows from the tap's settings: README's table, the Hub's file, `meltano.yml`."""

from __future__ import annotations

from docs import hub, meltano, readme
from docs.about import about


def main() -> None:
    """Write the files anew."""
    told = about()
    hub.TARGET.write_text(hub.render(hub.definition(told)), encoding="utf-8")
    for file, render in ((readme.README, readme.render), (meltano.TARGET, meltano.render)):
        file.write_text(render(file.read_text(encoding="utf-8"), told), encoding="utf-8")


if __name__ == "__main__":
    main()
