"""Writes what follows from code: the documentation's tables, Hub's files, `meltano.yml`."""

from __future__ import annotations

from docs import hub, meltano, places, tables
from docs.about import about


def main() -> None:
    """Write the files anew."""
    told = about()
    for name, text in hub.files(told, about("map_mixpanel_xdm")).items():
        (hub.FOLDER / name).write_text(text, encoding="utf-8")
    project = meltano.TARGET.read_text(encoding="utf-8")
    meltano.TARGET.write_text(meltano.render(project, told), encoding="utf-8")
    for file, text in places.fill(places.read(), tables.written(told)).items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
