#!/usr/bin/env python3
"""Write the table of Vertical_Orientation in `synth/text/vertical.py` anew, from Unicode's VerticalOrientation.txt.

    scripts/make_vertical_table.py [/usr/share/unicode/VerticalOrientation.txt]

The file is in Debian's package unicode-data and at https://www.unicode.org/Public/UCD/latest/ucd/.
"""

from __future__ import annotations

import re
import sys
import textwrap
from itertools import groupby
from pathlib import Path

_MODULE = Path(__file__).resolve().parent.parent / "synth" / "text" / "vertical.py"
_TABLE = re.compile(r'# VerticalOrientation-[^\n]*\n(_TABLE: Final = """\n)[^"]*(""")')


def main() -> int:
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode/VerticalOrientation.txt")
    text = source.read_text(encoding="utf-8")
    values = ["R"] * 0x110000  # "@missing: 0000..10FFFF; R"
    for first, last, value in re.findall(r"^([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(U|R|Tu|Tr)\b", text, re.MULTILINE):
        start, stop = int(first, 16), int(last or first, 16) + 1
        values[start:stop] = [value] * (stop - start)
    entries = [f"{next(run)[0]:X}{value}" for value, run in groupby(enumerate(values), lambda pair: pair[1])]
    name = text.partition("\n")[0].lstrip("# ")
    table = "\n".join(textwrap.wrap(" ".join(entries), 118))
    module, count = _TABLE.subn(rf"# {name}\n\g<1>{table}\n\g<2>", _MODULE.read_text(encoding="utf-8"))
    if count != 1:
        sys.exit(f"{_MODULE}: the table was not found")
    _MODULE.write_text(module, encoding="utf-8")
    print(f"{_MODULE}: {len(entries)} runs from {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
