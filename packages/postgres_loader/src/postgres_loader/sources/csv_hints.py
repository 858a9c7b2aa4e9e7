"""What a file that cannot be read as CSV probably is, and how to have it read."""

from collections.abc import Sequence

from postgres_loader.tables import Table

# How files of other kinds begin.
_KINDS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook (.xlsx): export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls): export it as CSV",
    b"\x1f\x8b": "gzip: its name must end with .csv.gz",
    b"PAR1": "Parquet: its name must end with .parquet",
    b"BZh": "bzip2: unpack it",
    b"(\xb5/\xfd": "Zstandard: unpack it",
}
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}


def kind_of(start: bytes) -> str | None:
    """What a file is that begins so, if it is none of text, and what to do about it."""
    return next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)


def hint(table: Table, header: Sequence[str]) -> str:
    """For a header without the table's columns: what is probably the matter, or nothing."""
    line = table.delimiter.join(header)
    if line.lower().startswith("sep="):
        return "; the line sep= is Excel's own: remove it, and declare the table's delimiter"
    for delimiter, name in _DELIMITERS.items():
        found = {field.strip().strip("\"'") for field in line.split(delimiter)}
        if delimiter != table.delimiter and len(found & set(table.column_names)) > 1:
            return f"; its fields are separated by {name}: declare the table's {delimiter=}"
    for quote in "\"'":
        found = {field.strip().strip(quote) for field in header}
        if quote != table.quote and len((found - {*header}) & {*table.column_names}) > 1:
            return f"; its names are within other quotes: declare the table's {quote=}"
    spelled = {name.strip().lower(): name for name in header}
    near = [
        f"{spelled[name.lower()]!r} for {name!r}"
        for name in table.column_names
        if name not in header and name.lower() in spelled
    ]
    return f"; upper case and blanks count: it has {', '.join(near)}" if near else ""
