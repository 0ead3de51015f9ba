#!/usr/bin/env python3
"""Makes docs/schema.md of the services' migrations and of what tools/schema_words.txt says about each table and column.

usage: docs_schema.py [--check]     (--check: says what is missing or stale, and writes nothing)
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "schema.md")
WORDS = os.path.join(ROOT, "tools", "schema_words.txt")
ROOMS = {"user": "Accounts", "auth": "Sign-ins", "meeting": "Meetings", "media": "Media", "file": "Files", "message": "Messages",
         "presence": "Presence", "bus": "Events and tasks", "store": "The store's own"}
STRING = r'"(?:[^"\\]|\\.)*"'
CONSTRAINTS = ("PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "CONSTRAINT")
# Made by the store itself, and the index of words, which each engine keeps in its own way.
OWN = """CREATE TABLE store_migrations (room TEXT NOT NULL, version INTEGER NOT NULL, checksum TEXT NOT NULL,
 applied_ms INTEGER NOT NULL, PRIMARY KEY (room, version));
CREATE TABLE message_terms (rowid INTEGER PRIMARY KEY, t TEXT NOT NULL, c INTEGER NOT NULL, s TEXT NOT NULL, k TEXT NOT NULL)"""


def sources():
    for directory, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in sorted(files):
            if name.endswith(".c"):
                with open(os.path.join(directory, name), encoding="utf-8") as f:
                    yield f.read()


def migrations():
    """The SQL of each room, in its order."""
    rooms = {}
    for text in sources():
        for array in re.findall(r"struct store_migration \w+\[\] = \{(.*?)\n\};", text, re.S):
            plain = re.sub(r"/\*.*?\*/", "", array, flags=re.S)
            for room, version, sql in re.findall(
                    r'\{\s*(?:\.room = )?"(\w+)",\s*(?:\.version = )?(\d+),\s*(?:\.sql\s*=\s*)?((?:' + STRING + r'\s*)+)', plain):
                joined = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', sql)).replace('\\"', '"')
                rooms.setdefault(room, []).append((int(version), joined))
    return {room: ";".join(sql for _, sql in sorted(steps)) for room, steps in rooms.items()}


def items(body):
    depth, at, found = 0, 0, []
    for i, c in enumerate(body + ","):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            found.append(" ".join(body[at:i].split()))
            at = i + 1
    return [one for one in found if one]


def read_column(table, item):
    name, _, rest = item.partition(" ")
    kind = "text" if "TEXT" in rest else "bytes" if "BLOB" in rest else "real" if "REAL" in rest else "integer"
    may_miss = "NOT NULL" not in rest and "PRIMARY" not in rest
    table["columns"].append((name, kind + (", or NULL" if may_miss else "")))
    if "PRIMARY" in rest:
        table["key"] = [name]
    if " UNIQUE" in " " + rest:
        table["unique"].append([name])
    refers = re.search(r"REFERENCES (\w+) \((\w+)\)( ON DELETE CASCADE)?", rest)
    if refers:
        table["refers"].append((name, refers[1], bool(refers[3])))


def names_in(item):
    return [one.strip() for one in item[item.index("(") + 1:item.rindex(")")].split(",")]


def read_tables():
    tables = {}
    for room, script in {**migrations(), "store": OWN}.items():
        for statement in script.split(";"):
            text = " ".join(statement.split())
            made = re.match(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*)\)( WITHOUT ROWID)?$", text)
            added = re.match(r"ALTER TABLE (\w+) ADD COLUMN (.*)$", text)
            index = re.match(r"CREATE (UNIQUE )?INDEX \w+ ON (\w+) \(([^)]*)\)(?: WHERE (.*))?", text)
            if made:
                owner = "message" if made[1] == "message_terms" else room
                table = tables[made[1]] = {"room": owner, "columns": [], "key": [], "unique": [], "indexes": [], "refers": []}
                for item in items(made[2]):
                    if item.startswith("PRIMARY"):
                        table["key"] = names_in(item)
                    elif item.startswith("UNIQUE"):
                        table["unique"].append(names_in(item))
                    elif not item.startswith(CONSTRAINTS):
                        read_column(table, item)
            elif added:
                read_column(tables[added[1]], added[2])
            elif index and index[1]:
                tables[index[2]]["unique"].append([one.strip() for one in index[3].split(",")])
            elif index:
                tables[index[2]]["indexes"].append(index[3] + (f" where {index[4]}" if index[4] else ""))
    return tables


def read_words():
    """"table" or "table.column" or "*.column": what it is."""
    words = {}
    with open(WORDS, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, text = line.rstrip("\n").split(": ", 1)
                words[name] = text
    return words


def section(name, table, words, missing):
    def of(column):
        text = words.get(f"{name}.{column}") or words.get(f"*.{column}")
        if not text:
            missing.append(f"{name}.{column}")
        return text or ""

    if name not in words:
        missing.append(name)
    lines = [f"### `{name}`", "", words.get(name, ""), "", "| column | | |", "|---|---|---|"]
    lines += [f"| `{column}` | {kind} | {of(column)} |" for column, kind in table["columns"]]
    facts = [f"Key: {', '.join(table['key'])}."] if table["key"] else []
    facts += [f"Unique: {', '.join(one)}." for one in table["unique"]]
    if table["indexes"]:
        facts.append("Indexes: " + "; ".join(f"({one})" for one in table["indexes"]) + ".")
    facts += [f"`{column}` refers to `{to}`" + (", and goes with it." if is_cascade else ".")
              for column, to, is_cascade in table["refers"]]
    return "\n".join(lines + ["", " ".join(facts), ""])


def page(tables, words, missing):
    parts = ["<!-- by tools/docs_schema.py, of the migrations and tools/schema_words.txt -->", "# The tables", "", words["*"], ""]
    for room, title in ROOMS.items():
        parts += [f"## {title}", ""]
        parts += [section(name, table, words, missing) for name, table in tables.items() if table["room"] == room]
    return "\n".join(parts)


def main():
    missing, tables, words = [], read_tables(), read_words()
    text = page(tables, words, missing)
    known = set(tables) | {f"{name}.{column}" for name, table in tables.items() for column, _ in table["columns"]}
    stale = [name for name in words if not name.startswith("*") and name not in known]
    for name in missing:
        print(f"tools/schema_words.txt: nothing about {name}")
    for name in stale:
        print(f"tools/schema_words.txt: there is no {name} any more")
    if missing or stale:
        sys.exit(1)
    try:
        with open(PAGE, encoding="utf-8") as f:
            old = f.read()
    except FileNotFoundError:
        old = ""
    if old == text:
        return
    if "--check" in sys.argv:
        sys.exit("docs/schema.md is not what the migrations say: run tools/docs_schema.py")
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(text)
    print("docs: wrote docs/schema.md")


main()
