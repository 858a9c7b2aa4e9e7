"""A code location in the lists of them: workspace.yaml, dg.toml, .env.example, and for the embedded
mode locations.toml."""

from __future__ import annotations

import re

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from stackctl.errors import StackctlError
from stackctl.location.yaml_text import YamlText


def add_to_workspace(text: str, name: str) -> str:
    """workspace.yaml with an entry for the location behind the last one."""
    file = YamlText(text, "workspace.yaml")
    last = list(_entries(file).values())[-1]
    server = f"host: {name}\n    port: 4000\n    location_name: {name}\n"
    file.add_after(last, last, f"- grpc_server:\n    {server}")
    return file.edited


def remove_from_workspace(text: str, name: str) -> str:
    """workspace.yaml without the location's entry."""
    file = YamlText(text, "workspace.yaml")
    entries = _entries(file)
    if name not in entries:
        raise StackctlError(f"workspace.yaml has no entry for {name!r}")
    if len(entries) == 1:
        raise StackctlError(f"{name!r} is the last code location, and a stack needs one")
    file.remove(entries[name], entries[name])
    return file.edited


def _entries(file: YamlText) -> dict[str, MappingNode]:
    """Each location's entry."""
    listed = YAML().load(file.text)["load_from"]
    names = (str(entry["grpc_server"]["location_name"]) for entry in listed)
    return dict(zip(names, file.items("load_from"), strict=True))


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
    settings = "|".join(f"{location.upper()}_MEMORY" for location in locations)
    text = _add_after(text, rf"#({settings})=.*\n", f"#{name.upper()}_MEMORY=1g\n")
    if loader:
        zone = f"#{name.upper()}_LANDING_ZONE=s3://landing/{name}\n"
        text = _add_after(text, r"#([A-Z0-9_]+_)?LANDING_ZONE=.*\n", zone)
    return text


def _add_after(text: str, line: str, new: str) -> str:
    """With a new line behind the last one of that form, if there is one."""
    places = [found.end() for found in re.finditer(f"^{line}", text, re.MULTILINE)]
    return text[: places[-1]] + new + text[places[-1] :] if places else text


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
