"""A mistake in the configuration, as the operator is told of it: where it stands, what is wrong, what would be right.

    what pydantic found ──► place      the line of the file, the variable, or the option that holds it
                            value      as it was written
                            remedy     out of the declaration of the settings: kind and range; the name that was meant

Nothing here knows a setting by its name, but for those whose values may hold a secret.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from securechan.errors import Finding, Unfit

Where = tuple[str, ...]
"""A setting by the tables it stands in: ``("quotas", "idle")``."""

PRIVATE: Final = frozenset({"nats"})  # tables whose values aren't repeated: an address may have a password in it
SHOWN: Final = 60  # characters of a value
_ANY: Final = "NAME"  # for a table whose name the operator chooses
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", re.IGNORECASE)
_UNITS: Final = {"K": 10, "M": 20, "G": 30, "T": 40}
_AT: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Table(BaseModel):
    """What all tables of the configuration have in common: nothing but what is declared, and nothing true or false."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: object) -> object:
        if isinstance(value, bool):  # else true would pass for 1
            raise ValueError("no setting is true or false")
        return value


@dataclass(frozen=True, slots=True)
class Source:
    """What was said, and by whom: a file, variables of the environment, options of the command line."""

    path: Path
    text: str = ""
    prefix: str = ""  # of variables
    spoken: dict[Where, str] = field(default_factory=dict)  # by a variable or an option
    unknown: list[Where] = field(default_factory=list)  # named by variables, and there are none such

    def place(self, where: Where) -> str:
        """The variable, the option or the line that holds this setting, or comes nearest to it."""
        variable = self.variable(where)
        if variable is not None:
            return variable
        number = self._line(where)
        return f"{self.path} line {number}" if number else str(self.path)

    def variable(self, where: Where) -> str | None:
        """The variable or the option that speaks for this setting, or for the table it stands in; and for what no line
        holds, one that speaks of the same table."""
        over = next((name for said, name in self.spoken.items() if said == where[: len(said)]), None)
        if over is not None or self._line(where, nearest=False):
            return over
        return next((name for said, name in self.spoken.items() if where[:-1] and said[:-1] == where[:-1]), None)

    def _line(self, where: Where, *, nearest: bool = True) -> int:
        """The number of the line that sets it, else of the table it belongs to; 0 for none."""
        table: Where = ()
        around = 0
        for number, line in enumerate(self.text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                table = _keys(bare.strip("[] ").partition("]")[0])
                if table == where:
                    return number
                if nearest and where and (where[: len(table)] == table or table[: len(where)] == where):
                    around = number
                continue
            if bare.startswith("#") or "=" not in bare:
                continue
            full = (*table, *_keys(bare.partition("=")[0]))
            if full == where[: len(full)] or (where == full[: len(where)] and len(where) > len(table)):
                return number
        return around


def _keys(text: str) -> Where:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


# ------------------------------------------------------------------------------------------------------- what there is


@dataclass(frozen=True, slots=True)
class Declared:
    """What can be set, as the model declares it."""

    schema: Mapping[str, Any]

    @classmethod
    def of(cls, model: type[BaseModel]) -> Declared:
        return cls(model.model_json_schema())

    def at(self, where: Where) -> Mapping[str, Any] | None:
        """What is declared of a setting or a table; None where there is no such."""
        node: Any = self.schema
        for part in where:
            node = self._plain(node)
            inner = node.get("properties", {}).get(part) or node.get("additionalProperties") or node.get("items")
            if not isinstance(inner, Mapping):
                return None
            node = inner
        described = {name: node[name] for name in ("description", "default") if name in node}
        return {**self._plain(node), **described}

    def names(self, table: Where) -> tuple[str, ...]:
        """The settings that a table has; none for what is no table."""
        found = self.at(table)
        return tuple(found.get("properties", ())) if found else ()

    def all(self) -> Iterator[Where]:
        """Every setting that is no table."""
        waiting: list[Where] = [()]
        while waiting:
            table = waiting.pop(0)
            node = self.at(table) or {}
            names = [
                *node.get("properties", ()),
                *([_ANY] if isinstance(node.get("additionalProperties"), dict) else ()),
            ]
            if not names:
                yield table
            waiting += [(*table, name) for name in names]

    def _plain(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without references, and without the none of what may be left out."""
        for choice in node.get("anyOf", ()):
            if choice.get("type") != "null":
                return self._plain(choice)
        name = str(node.get("$ref", "")).rpartition("/")[2]
        return self._plain(self.schema["$defs"][name]) if name else node


# ------------------------------------------------------------------------------------------------------------ mistakes


def not_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> Unfit:
    """A file that can't be read as TOML."""
    said, lines = str(error), text.splitlines()
    found = _AT.search(said)
    number = int(found[1]) if found and found[1] else max(1, len(lines))
    line = lines[number - 1].strip() if number <= len(lines) else ""
    key, _, value = (part.strip() for part in line.partition("="))
    fault = said[: found.start()] if found else said
    hint = "mend the line; a text stands in double quotes"
    if "overwrite" in fault or "twice" in fault:
        fault, hint = f"{line} is set for the second time", "leave one of the two lines out"
    elif key and "=" in line and not value:
        fault, hint = f"{key} has no value", "put one behind the =, or leave the line out"
    elif re.fullmatch(r"[A-Za-z_][\w.:/-]*", value):
        fault, hint = f"{line}: a text stands in double quotes", f'write {key} = "{value}"'
    else:
        fault = f"{fault[:1].lower()}{fault[1:]}: {line[:SHOWN]}"
    where = f"{path} line {number}"
    return Unfit(f"{where}: this is not TOML: {fault}", hint=hint, findings=(Finding(where, f"not TOML: {fault}"),))


def unfit(model: type[BaseModel], source: Source, error: ValidationError | None) -> Unfit:
    """All mistakes at once: those that validation found, and variables that name nothing. The hint is the first's."""
    declared = Declared.of(model)
    told = [_unknown(declared, source, where) for where in source.unknown]
    for mistake in [] if error is None else error.errors():
        where = tuple(str(part) for part in mistake["loc"])
        match mistake["type"]:
            case "extra_forbidden":
                told.append(_unknown(declared, source, where))
            case "missing":
                told.append(_missing(source, where))
            case _:
                told.append(_wrong(declared, source, where, mistake))
    findings = tuple(finding for finding, _ in told)
    return Unfit(f"{findings[0].where}: {findings[0].what}", findings=findings, hint=told[0][1])


Told = tuple[Finding, str]
"""A mistake, and what to do about it."""


def _unknown(declared: Declared, source: Source, where: Where) -> Told:
    variable = source.variable(where)
    name = ".".join(where)
    meant = _meant(declared, where, as_variable=variable is not None)
    finding = Finding(source.place(where), f"{name}: there is no such setting")
    if meant:
        meant_name = ".".join(meant)
        shown = source.prefix + "__".join(meant).upper() if variable and source.prefix else meant_name
        more = f"; did you mean {shown}?"
        if meant[-1] == where[-1] and not variable:  # the right word at the wrong place
            more = (
                f"; {meant_name} stands above all tables"
                if len(meant) == 1
                else f"; it belongs to [{'.'.join(meant[:-1])}]"
            )
        finding = Finding(finding.where, finding.what + more)
    table = next((where[:end] for end in range(len(where) - 1, 0, -1) if declared.names(where[:end])), ())
    inside = f"in [{'.'.join(table)}] they are" if table else "settings are"
    return finding, f"{inside}: {', '.join(declared.names(table))}"


def _meant(declared: Declared, where: Where, *, as_variable: bool) -> Where | None:
    """The setting whose name comes nearest: in the same table first, else the same name elsewhere. A variable has the
    whole name in one, and its hyphens and underscores are what goes wrong first."""
    table, name = where[:-1], where[-1]
    known = [each for each in declared.all() if _ANY not in each]
    if as_variable:
        spelt = {"__".join(each): each for each in known}
        near = get_close_matches("__".join(where).lower(), spelt, 1, 0.8)
        if near:
            return spelt[near[0]]
        if table in known:
            return table
    near = get_close_matches(name.lower(), declared.names(table), 1, 0.6)
    if near:
        return (*table, near[0])
    return next((each for each in known if each[-1] == name), None)


def _missing(source: Source, where: Where) -> Told:
    table, variable = ".".join(where[:-1]), source.variable(where)
    if variable and source.prefix:
        remedy = f"set {source.prefix}{'__'.join(where).upper()} too"
    else:
        remedy = f"add {where[-1]} to [{table}], or leave the table out"
    return Finding(source.place(where), f"{'.'.join(where)}: this is missing"), remedy


def _wrong(declared: Declared, source: Source, where: Where, mistake: Mapping[str, Any]) -> Told:
    name, node = ".".join(where), declared.at(where) or {}
    value, in_file = mistake.get("input"), source.variable(where) is None
    shown = "" if where[0] in PRIVATE else f" is {_shown(value)}"
    if mistake["type"] == "value_error":
        needed = str(mistake["msg"]).removeprefix("Value error, ")
    else:
        needed = f"it must be {expected(node, where, in_file)}"
    remedies = [_in_bytes(node, value)]
    if "description" in node and node.get("type") != "object":
        default = node.get("default")
        without = "" if default in (None, "", [], {}) else f"; left out it is {json.dumps(default)}"
        remedies.append(f"{name}: {node['description']}{without}")
    remedy = next(filter(None, remedies), "change the value, or leave it out for the default")
    return Finding(source.place(where), f"{name}{shown}: {needed}"), remedy


def expected(node: Mapping[str, Any], where: Where, in_file: bool) -> str:
    """What may stand there, in words."""
    if "enum" in node:
        choices = [json.dumps(each) if in_file else str(each) for each in node["enum"]]
        return " or ".join((", ".join(choices[:-1]), choices[-1]))
    quoted = " in double quotes" if in_file else ""
    match node.get("type"):
        case "integer" | "number" as kind:
            return f"a {'whole ' if kind == 'integer' else ''}number{_range(node)}"
        case "array":
            return f'a list of at least {node.get("minItems", 0)}: ["…", "…"]' if in_file else "a list, with commas"
        case "object":
            return f"a table: [{'.'.join(where)}] on a line of its own, its settings below"
        case _ if node.get("format") == "path":
            return f"a path{quoted}"
        case _:
            most = f" of at most {node['maxLength']} characters" if "maxLength" in node else ""
            return f"a text{most}{quoted}{', not an empty one' if node.get('minLength') else ''}"


def _range(node: Mapping[str, Any]) -> str:
    least, most, above = node.get("minimum"), node.get("maximum"), node.get("exclusiveMinimum")
    if above is not None:
        return f" above {above:g}" + ("" if most is None else f" and up to {most:.12g}")
    if most is None:
        return "" if least is None else f" of {least:.12g} or more"
    return f" up to {most:.12g}" if least is None else f" from {least:.12g} to {most:.12g}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    cut = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return json.dumps(cut, ensure_ascii=False) if isinstance(value, str) else cut


def _in_bytes(node: Mapping[str, Any], value: object) -> str:
    """What a size with a unit is in bytes, where a number is needed."""
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) and node.get("type") == "integer" else None
    return f"sizes are in bytes: write {int(float(found[1]) * (1 << _UNITS[found[2].upper()]))}" if found else ""
