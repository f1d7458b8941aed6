"""Makes the font anew from names.txt: `python -m wingxtra.console.icons`.

It needs fonttools and brotli, which nothing else needs: install them into a virtualenv of their own
and put this project's packages on PYTHONPATH.
"""

import sys
from pathlib import Path
from typing import Any

import unfold
from fontTools import subset  # type: ignore[import-not-found]

FULL = Path(unfold.__file__).parent / "static/unfold/fonts/material-symbols"
NAMES = Path(__file__).with_name("names.txt")
FONT = Path(__file__).parents[1] / "static/console/icons.woff2"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def main() -> None:
    options = subset.Options()
    options.flavor = "woff2"
    options.layout_features = ["*"]
    # With the closure each word of these letters would come back.
    options.layout_closure = False
    options.notdef_outline = True
    font = subset.load_font(str(FULL / "Material-Symbols-Outlined.woff2"), options)
    wanted = set(NAMES.read_text().split())
    made = _ligatures(font)
    if missing := sorted(wanted - set(made)):
        raise SystemExit(f"The full font has no {', '.join(missing)}.")
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=LETTERS, glyphs=[made[name] for name in wanted])
    subsetter.subset(font)
    subset.save_font(font, str(FONT), options)
    sys.stdout.write(f"{FONT}: {len(wanted)} icons, {FONT.stat().st_size} bytes\n")


def _ligatures(font: Any) -> dict[str, str]:
    """Each word that the font draws as one glyph, and the glyph."""
    letter_of = {glyph: chr(code) for code, glyph in font.getBestCmap().items()}
    found = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            for first, ligatures in getattr(table, "ligatures", {}).items():
                for one in ligatures:
                    letters = [letter_of.get(glyph, "?") for glyph in (first, *one.Component)]
                    found["".join(letters)] = one.LigGlyph
    return found


if __name__ == "__main__":
    main()
