# SPDX-License-Identifier: Apache-2.0
"""What QMP can do, written once: schema/*.json becomes C tables, introspection and docs/qmp.md.

    generate.py header|source|doc SCHEMA... > OUT

A schema file is one subject: {"subject", "doc", "entries": [...]}.  An entry is one of

    {"command": NAME, "doc", "arguments": MEMBERS, "returns": TYPE, "oob": true, "early": true, "errors": {CLASS: WHEN}}
    {"event":   NAME, "doc", "data": MEMBERS, "limited": true, "key": MEMBER}
    {"struct":  NAME, "doc", "members": MEMBERS, "tag": MEMBER, "variants": {VALUE: STRUCT}}
    {"enum":    NAME, "doc", "values": {VALUE: DOC}}

MEMBERS is {NAME: [TYPE, DOC]}, with "?" behind the name of an optional one.  TYPE is the name of a
struct or enum, of a builtin (BUILTINS), or "[TYPE]" for a list.
"""
import json
import re
import sys

# Name: kind, C type, what an error calls it, limits, what introspection calls it.
BUILTINS = {
    "str": ("STR", "const char *", "string", "", "str"),
    "bool": ("BOOL", "bool ", "boolean", "", "bool"),
    "number": ("NUMBER", "double ", "number", "", "number"),
    "any": ("ANY", "json_object *", "value", "", "any"),
    "int": ("INT", "int64_t ", "integer", ".min = INT64_MIN, .max = INT64_MAX", "int"),
    "int32": ("INT", "int64_t ", "int32_t", ".min = INT32_MIN, .max = INT32_MAX", "int"),
    "uint8": ("UINT", "uint64_t ", "uint8_t", ".umax = UINT8_MAX", "int"),
    "uint16": ("UINT", "uint64_t ", "uint16_t", ".umax = UINT16_MAX", "int"),
    "uint32": ("UINT", "uint64_t ", "uint32_t", ".umax = UINT32_MAX", "int"),
    "uint64": ("UINT", "uint64_t ", "uint64", ".umax = UINT64_MAX", "int"),
    "size": ("UINT", "uint64_t ", "uint64", ".umax = UINT64_MAX", "int"),
}


class Member:
    def __init__(self, name, spec):
        self.optional = name.endswith("?")
        self.name = name.rstrip("?")
        self.type, self.doc = spec
        self.c_name = self.name.replace("-", "_")

    @property
    def has(self):
        """Pointers say by NULL that they are absent; the rest needs a flag."""
        return self.optional and self.type not in ("str", "any")


def members_of(spec):
    return [Member(name, value) for name, value in (spec or {}).items()]


class Schema:
    def __init__(self, subjects):
        self.subjects = subjects
        self.types, self.commands, self.events = {}, {}, {}
        for subject in subjects:
            for entry in subject["entries"]:
                for kind, table in (("command", self.commands), ("event", self.events),
                                    ("struct", self.types), ("enum", self.types)):
                    if kind in entry:
                        name = entry[kind]
                        if name in table:
                            sys.exit(f"{name} is defined twice")
                        table[name] = entry
        for name, entry in {**self.types, **self.commands, **self.events}.items():
            for part in ("members", "arguments", "data"):
                for member in members_of(entry.get(part)):
                    self.check_type(name, member.type)
            if "returns" in entry:
                self.check_type(name, entry["returns"])

    def check_type(self, where, name):
        name = name.strip("[]")
        if name not in BUILTINS and name not in self.types:
            sys.exit(f"{where}: there is no type {name}")


# ---- C ----

def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_]", name))


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace("-", "_")


def function(command):
    return "qmp_cmd_" + command.replace("-", "_")


def constant(enum, value):
    return f"QMP_{snake(enum)}_{value.replace('-', '_')}".upper()


class CWriter:
    """The types that arguments use, each after those it is made of."""

    def __init__(self, schema):
        self.schema = schema
        self.order, self.lists = [], []
        self.arguments = {}
        for name, entry in sorted(schema.commands.items()):
            members = members_of(entry.get("arguments"))
            if members:
                self.arguments[name] = members
                for member in members:
                    self.need(member.type)

    def need(self, name):
        if name.startswith("["):
            self.need(name[1:-1])
            if name not in self.lists:
                self.lists.append(name)
            return
        if name in BUILTINS or name in self.order:
            return
        entry = self.schema.types[name]
        for member in members_of(entry.get("members")):
            self.need(member.type)
        for variant in entry.get("variants", {}).values():
            self.need(variant)
        self.order.append(name)

    def declare(self, type_name, c_name):
        if type_name.startswith("["):
            inner = self.declare(type_name[1:-1], "*items")
            return f"struct {{ size_t count; {inner}; }} {c_name}"
        if type_name in BUILTINS:
            return f"{BUILTINS[type_name][1]}{c_name}"
        return f"Qmp{type_name} {c_name}"

    def type_ref(self, name):
        if name.startswith("["):
            return "&list_of_" + name[1:-1].replace("[", "").replace("]", "s")
        return f"&type_{name}"

    def struct(self, c_type, members, variants=None):
        lines = [f"typedef struct {c_type} {{"]
        for member in members:
            if member.has:
                lines.append(f"    bool has_{member.c_name};")
            lines.append(f"    {self.declare(member.type, member.c_name)};")
        if variants:
            lines.append("    union {")
            for value, name in variants.items():
                lines.append(f"        Qmp{name} {value.replace('-', '_')};")
            lines.append("    } u;")
        lines.append(f"}} {c_type};\n")
        return "\n".join(lines)

    def header(self):
        out = ["/* Made by qmp/generate.py from qmp/schema; not for editing. */",
               "#ifndef QMP_GENERATED_H", "#define QMP_GENERATED_H", "", '#include "qmp/schema.h"', ""]
        for name in self.order:
            entry = self.schema.types[name]
            if "enum" in entry:
                values = ",\n".join(f"    {constant(name, v)}" for v in entry["values"])
                out.append(f"typedef enum Qmp{name} {{\n{values},\n}} Qmp{name};\n")
            else:
                out.append(self.struct(f"Qmp{name}", members_of(entry["members"]),
                                       entry.get("variants")))
        for name, members in self.arguments.items():
            out.append(self.struct(f"Qmp{camel(name)}Args", members))
        for name in sorted(self.schema.commands):
            argument = f"const Qmp{camel(name)}Args *args, " if name in self.arguments else ""
            out.append(f"bool {function(name)}(QmpCall *call, {argument}QmpReply *reply, "
                       "GError **error);")
        return "\n".join(out) + "\n\n#endif\n"

    def object_tables(self, symbol, c_type, members, entry):
        rows = []
        for member in members:
            row = (f'{{.name = "{member.name}", .type = {self.type_ref(member.type)}, '
                   f".offset = offsetof({c_type}, {member.c_name})")
            if member.has:
                row += f", .has = true, .has_offset = offsetof({c_type}, has_{member.c_name})"
            rows.append(f"    {row}, .optional = {str(member.optional).lower()}}},")
        out = []
        extra = ""
        if rows:
            out += [f"static const QmpMember members_{symbol}[] = {{", *rows, "};"]
            extra = (f", .members = members_{symbol}, "
                     f".num_members = G_N_ELEMENTS(members_{symbol})")
        if entry and "variants" in entry:
            tag = [m.name for m in members].index(entry["tag"])
            enum = members[tag].type
            out.append(f"static const QmpType *const variants_{symbol}[] = {{")
            out += [f"    [{constant(enum, v)}] = &type_{n}," for v, n in entry["variants"].items()]
            last = list(self.schema.types[enum]["values"])[-1]
            if last not in entry["variants"]:
                out.append(f"    [{constant(enum, last)}] = NULL,")
            out.append("};")
            extra += (f", .tag = &members_{symbol}[{tag}], .variants = variants_{symbol}, "
                      f".variants_offset = offsetof({c_type}, u)")
        out.append(f'static const QmpType type_{symbol} = {{.kind = QMP_KIND_OBJECT, '
                   f'.name = "object", .size = sizeof({c_type}){extra}}};\n')
        return out

    def builtin_tables(self):
        used = set()
        for members in list(self.arguments.values()) + [
                members_of(self.schema.types[n].get("members")) for n in self.order]:
            used |= {m.type.strip("[]") for m in members}
        for name, (kind, c_type, called, limits, _) in BUILTINS.items():
            if name in used:
                limits = f", {limits}" if limits else ""
                yield (f'static const QmpType type_{name} = {{.kind = QMP_KIND_{kind}, '
                       f'.name = "{called}", .size = sizeof({c_type.strip()}){limits}}};')

    def list_table(self, name):
        inner = name[1:-1]
        return (f'static const QmpType {self.type_ref(name)[1:]} = {{.kind = QMP_KIND_LIST, '
                f'.name = "array", .size = sizeof(QmpList), '
                f".element = {self.type_ref(inner)}}};\n")

    def type_tables(self):
        out = list(self.builtin_tables())
        done = set()

        def lists(members):
            for member in members:
                for depth in range(member.type.count("["), 0, -1):
                    name = member.type[depth - 1:len(member.type) - depth + 1]
                    if name not in done:
                        done.add(name)
                        out.append(self.list_table(name))

        for name in self.order:
            entry = self.schema.types[name]
            if "enum" in entry:
                words = ", ".join(f'"{v}"' for v in entry["values"])
                out.append(f"static const char *const names_{name}[] = {{{words}, NULL}};")
                out.append(f'static const QmpType type_{name} = {{.kind = QMP_KIND_ENUM, '
                           f'.name = "string", .size = sizeof(Qmp{name}), .names = names_{name}}};\n')
            else:
                members = members_of(entry["members"])
                lists(members)
                out += self.object_tables(name, f"Qmp{name}", members, entry)
        for name, members in self.arguments.items():
            lists(members)
            out += self.object_tables("args_" + name.replace("-", "_"), f"Qmp{camel(name)}Args",
                                      members, None)
        return out

    def source(self):
        out = ["/* Made by qmp/generate.py from qmp/schema; not for editing. */",
               '#include "qmp/generated.h"', "", *self.type_tables()]
        rows = []
        for name in sorted(self.schema.commands):
            symbol = name.replace("-", "_")
            has = name in self.arguments
            out.append(f"static bool run_{symbol}(QmpCall *call, const void *args, QmpReply *reply, "
                       f"GError **error)\n{{\n"
                       + ("" if has else "    (void)args;\n")
                       + f"    return {function(name)}(call, {'args, ' if has else ''}reply, error);"
                       "\n}\n")
            row = f'{{.name = "{name}", .run = run_{symbol}'
            row += f", .arguments = &type_args_{symbol}" if has else ""
            row += ", .allow_oob = true" if self.schema.commands[name].get("oob") else ""
            row += ", .early = true" if self.schema.commands[name].get("early") else ""
            rows.append(f"    {row}}},")
        out += ["const QmpCommand qmp_commands[] = {", *rows, "};",
                "const size_t qmp_num_commands = G_N_ELEMENTS(qmp_commands);\n",
                "const QmpEventType qmp_events[] = {"]
        for name, entry in sorted(self.schema.events.items()):
            row = f'.name = "{name}"'
            row += ", .limited = true" if entry.get("limited") else ""
            row += f', .key = "{entry["key"]}"' if "key" in entry else ""
            out.append(f"    {{{row}}},")
        out += ["};", "const size_t qmp_num_events = G_N_ELEMENTS(qmp_events);\n",
                "const char *const qmp_schema_elements[] = {"]
        out += [f"    {json.dumps(json.dumps(e))}," for e in introspection(self.schema)]
        out += ["};", "const size_t qmp_num_schema_elements = G_N_ELEMENTS(qmp_schema_elements);\n"]
        return "\n".join(out)


# ---- introspection ----

class Introspection:
    """query-qmp-schema: type names mean nothing, so that no client comes to depend on them."""

    def __init__(self, schema):
        self.schema, self.names, self.entries = schema, {}, []

    def type_name(self, name):
        if name in BUILTINS:
            name = BUILTINS[name][4]
            if name not in self.names:
                self.names[name] = name
                kinds = {"str": "string", "bool": "boolean", "any": "value"}
                self.entries.append({"name": name, "meta-type": "builtin",
                                     "json-type": kinds.get(name, name)})
            return name
        if name in self.names:
            return self.names[name]
        if name.startswith("["):
            element = self.type_name(name[1:-1])
            self.names[name] = f"[{element}]"
            self.entries.append({"name": f"[{element}]", "meta-type": "array",
                                 "element-type": element})
            return self.names[name]
        entry = self.schema.types[name]
        if "enum" in entry:
            self.names[name] = self.fresh()
            values = list(entry["values"])
            self.entries.append({"name": self.names[name], "meta-type": "enum",
                                 "members": [{"name": v} for v in values], "values": values})
            return self.names[name]
        return self.object_name(name, entry["members"], entry)

    def fresh(self):
        return str(len(self.names) + 1)

    def object_name(self, key, members, entry=None):
        if key in self.names:
            return self.names[key]
        self.names[key] = self.fresh()
        made = {"name": self.names[key], "meta-type": "object", "members": []}
        self.entries.append(made)
        for member in members_of(members):
            row = {"name": member.name, "type": self.type_name(member.type)}
            if member.optional:
                row["default"] = None
            made["members"].append(row)
        if entry and "variants" in entry:
            made["tag"] = entry["tag"]
            enum = next(m.type for m in members_of(members) if m.name == entry["tag"])
            made["variants"] = [
                {"case": value, "type": self.type_name(entry["variants"][value])
                 if value in entry["variants"] else self.object_name("", {})}
                for value in self.schema.types[enum]["values"]]
        return self.names[key]

    def run(self):
        out = []
        for name, entry in sorted(self.schema.commands.items()):
            arguments = entry.get("arguments")
            row = {"name": name, "meta-type": "command",
                   "arg-type": self.object_name(f"args {name}" if arguments else "", arguments),
                   "ret-type": self.type_name(entry["returns"]) if "returns" in entry
                   else self.object_name("", {})}
            if entry.get("oob"):
                row["allow-oob"] = True
            out.append(row)
        for name, entry in sorted(self.schema.events.items()):
            data = entry.get("data")
            out.append({"name": name, "meta-type": "event",
                        "arg-type": self.object_name(f"data {name}" if data else "", data)})
        return out + self.entries


def introspection(schema):
    return Introspection(schema).run()


# ---- docs/qmp.md ----

def member_table(members, title):
    if not members:
        return []
    out = [f"| {title} | type | |", "| --- | --- | --- |"]
    for member in members:
        optional = ", optional" if member.optional else ""
        out.append(f"| `{member.name}` | {type_link(member.type)}{optional} | {member.doc} |")
    return out + [""]


def type_link(name):
    inner = name.strip("[]")
    text = f"`{inner}`" if inner in BUILTINS else f"[{inner}](#{inner.lower()})"
    return f"list of {text}" if name.startswith("[") else text


def doc_entry(entry):
    kind = next(k for k in ("command", "event", "struct", "enum") if k in entry)
    name = entry[kind]
    title = f"`{name}`" if kind in ("command", "event") else name
    out = [f"### {title}", "", f"*{kind}{', may run out of band' if entry.get('oob') else ''}* · "
           + entry["doc"], ""]
    if kind == "command":
        out += member_table(members_of(entry.get("arguments")), "argument")
        if "returns" in entry:
            out += [f"Returns {type_link(entry['returns'])}.", ""]
        for error, when in entry.get("errors", {}).items():
            out += [f"{error}: {when}.", ""]
    elif kind == "event":
        out += member_table(members_of(entry.get("data")), "data")
        if entry.get("limited"):
            out += ["At most one a second goes out"
                    + (f" for each `{entry['key']}`" if "key" in entry else "")
                    + "; of those in between, the latest.", ""]
    elif kind == "struct":
        out += member_table(members_of(entry["members"]), "member")
        for value, variant in entry.get("variants", {}).items():
            out += [f"With `{entry['tag']}` = `{value}` also the members of {type_link(variant)}.", ""]
    else:
        out += [f"- `{value}`{': ' + doc if doc else ''}" for value, doc in entry["values"].items()]
        out += [""]
    return out


def doc(schema):
    out = ["<!-- Made by qmp/generate.py from qmp/schema; tests/style/check_qmp_doc.py compares. -->",
           "# QMP reference", "",
           "How to connect, the envelopes and what is different from QEMU: [qmp-protocol.md]"
           "(qmp-protocol.md). `query-qmp-schema` answers the same as this file, for programs.", ""]
    for subject in schema.subjects:
        out += [f"## {subject['subject']}", "", subject["doc"], ""]
        for entry in subject["entries"]:
            out += doc_entry(entry)
    return "\n".join(out).rstrip("\n") + "\n"


def main():
    what, *files = sys.argv[1:]
    subjects = []
    for name in files:
        with open(name, encoding="utf-8") as file:
            subjects.append(json.load(file))
    schema = Schema(subjects)
    if what == "doc":
        sys.stdout.write(doc(schema))
    elif what == "header":
        sys.stdout.write(CWriter(schema).header())
    else:
        sys.stdout.write(CWriter(schema).source())


if __name__ == "__main__":
    main()
