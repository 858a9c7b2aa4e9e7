"""A code location in the lists of them: workspace.yaml, dg.toml, .env.example, and for the embedded
mode locations.toml."""

from __future__ import annotations

import contextlib
import re

from ruamel.yaml import YAML

from stackctl.errors import StackctlError
from stackctl.location.lines import Lines


def add_to_workspace(text: str, name: str) -> str:
    """workspace.yaml with an entry for the location behind the last one."""
    lines = Lines(text, "workspace.yaml")
    entries = _entries(lines)
    last = list(entries.values())[-1]
    indent = lines.indent(last.start)
    entry = ["- grpc_server:", f"    host: {name}", "    port: 4000", f"    location_name: {name}"]
    lines.insert_after(last.stop - 1, "".join(f"{indent}{line}\n" for line in entry))
    return lines.text


def remove_from_workspace(text: str, name: str) -> str:
    """workspace.yaml without the location's entry."""
    lines = Lines(text, "workspace.yaml")
    entries = _entries(lines)
    if name not in entries:
        raise StackctlError(f"workspace.yaml has no entry for {name!r}")
    if len(entries) == 1:
        raise StackctlError(f"{name!r} is the last code location, and a stack needs one")
    lines.delete(entries[name])
    return lines.text


def _entries(lines: Lines) -> dict[str, range]:
    """The lines of each location's entry, comments behind it left out."""
    listed = YAML().load(lines.text)["load_from"]
    starts = [listed.lc.item(number)[0] for number in range(len(listed))]
    if not all(lines.get(range(n, n + 1)).lstrip().startswith("- ") for n in starts):
        raise StackctlError("workspace.yaml: expected an entry per location, on lines of its own")
    found = {}
    for entry, start, end in zip(listed, starts, [*starts[1:], lines.all().stop], strict=True):
        while not re.match(r"\s*[^#\s]", lines.get(range(end - 1, end))):
            end -= 1
        found[str(entry["grpc_server"]["location_name"])] = range(start, end)
    return found


def add_to_dg(text: str, name: str) -> str:
    """dg.toml with the location's project at its end."""
    return f'{text}\n[[workspace.projects]]\npath = "code_locations/{name}"\n'


def remove_from_dg(text: str, name: str) -> str:
    """dg.toml without the location's project."""
    table = rf'\n?\[\[workspace\.projects\]\]\npath = "code_locations/{name}"\n'
    changed, count = re.subn(table, "", text)
    if count != 1:
        raise StackctlError(f"dg.toml: no project code_locations/{name}, or not as expected")
    return changed


def add_to_settings(text: str, name: str, locations: list[str], *, loader: bool = False) -> str:
    """.env.example with the location's memory, behind that of the last of the ``locations``.

    With the ``loader``, with its landing zone, too. The text itself where the lines to put these
    behind are not listed: people may have arranged it otherwise.
    """
    lines = Lines(text, ".env.example")
    settings = "|".join(f"{location.upper()}_MEMORY" for location in locations)
    with contextlib.suppress(StackctlError):
        lines.insert_after(lines.last(rf"#({settings})="), f"#{name.upper()}_MEMORY=1g\n")
    if loader:
        with contextlib.suppress(StackctlError):
            zone = f"#{name.upper()}_LANDING_ZONE=s3://landing/{name}\n"
            lines.insert_after(lines.last(r"#([A-Z0-9_]+_)?LANDING_ZONE="), zone)
    return lines.text


def remove_from_settings(text: str, name: str) -> str:
    """.env.example without the location's memory and landing zone."""
    return re.sub(rf"^#{name.upper()}_(MEMORY|LANDING_ZONE)=.*\n", "", text, flags=re.MULTILINE)


def add_to_embedded(text: str, name: str) -> str:
    """locations.toml with the location's landing zone, a folder of its own, at the end."""
    settings = {
        "LANDING_ZONE": f"{name.upper()}_LANDING_ZONE",
        "LANDING_ZONE_SAMPLE": "LANDING_ZONE_SAMPLE",
        "AWS_ENDPOINT_URL_S3": "LANDING_ZONE_ENDPOINT",
        "AWS_DEFAULT_REGION": "LANDING_ZONE_REGION",
        "AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    }
    environment = {
        "LANDING_ZONE": f"{{data_uri}}/landing_zone_{name}",
        "LANDING_ZONE_SAMPLE": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    lines = ["", f"[{name}]", f'prepare = ["python", "-m", "{name}.sample_data"]']
    for table, values in {"environment": environment, "settings": settings}.items():
        lines += ["", f"[{name}.{table}]", *(f'{key} = "{each}"' for key, each in values.items())]
    return text + "".join(f"{line}\n" for line in lines)


def remove_from_embedded(text: str, name: str) -> str:
    """locations.toml without the location's tables, if it has any."""
    return re.sub(rf"\n\[{name}(\.\w+)?\]\n([^\[#\n].*\n)*", "", text)
