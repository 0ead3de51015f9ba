#!/usr/bin/env python3
"""Holds the includes of src/ against the table of rooms in ARCHITECTURE.md ("## Rooms").

usage: check_rooms.py [PROJECT_ROOT]

A row is `| room | may include | what it is |`; every room may include core and itself. Further rules: services never
include one another, NAME_internal.h stays in its room, src/sfu/wire touches bytes by core/cursor.h alone, and an
include names its room (but for protoc-c's *.pb-c.h). src/main.c may include what cli may, and cli.
"""
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read_table():
    rooms, is_in = {}, False
    with open(os.path.join(ROOT, "ARCHITECTURE.md"), encoding="utf-8") as text:
        for line in text:
            if line.startswith("## "):
                is_in = line.strip() == "## Rooms"
            row = re.match(r"\|\s*`([\w/*]+)`\s*\|([^|]*)\|", line)
            if is_in and row:
                rooms[row.group(1)] = set(re.findall(r"`([\w/*]+)`", row.group(2)))
    return rooms


def room_of(path, rooms):
    """The longest room that the path lies in; every service is a room of its own."""
    parts = path.split("/")
    if parts[0] == "services":
        return "/".join(parts[:2])
    for n in range(len(parts) - 1, 0, -1):
        if "/".join(parts[:n]) in rooms:
            return "/".join(parts[:n])
    return parts[0]


def may(rooms, room, other):
    if other in (room, "core"):
        return True
    if room == "main.c":
        return other == "cli" or may(rooms, "cli", other)
    if room.startswith("services/") and other.startswith("services/"):
        return other == "services/common"  # one another they never include
    allowed = rooms.get(room, rooms.get("services/*", set()) if room.startswith("services/") else set())
    if "*" in allowed:
        return True
    return other in allowed or any(other.startswith(a + "/") for a in allowed if a != "core")


def problems_of(path, rooms):
    room = room_of(path, rooms)
    with open(os.path.join(ROOT, "src", path), encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            where = f"src/{path}:{number}"
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if include and "/" not in include.group(1):
                if not include.group(1).endswith(".pb-c.h"):
                    yield f'{where}: "{include.group(1)}" does not name its room'
            elif include:
                target = os.path.normpath(include.group(1))
                other = room_of(target, rooms)
                if not may(rooms, room, other):
                    yield f"{where}: {room} may not include {other} ({target})"
                if target.endswith("_internal.h") and other != room:
                    yield f"{where}: {target} belongs to {other}"
            if path.startswith("sfu/wire/") and re.search(r"\b(memcpy|memmove)\s*\(", line):
                yield f"{where}: sfu/wire reads and writes bytes by core/cursor.h alone"


def main():
    rooms = read_table()
    if not rooms:
        sys.exit("check_rooms: no table of rooms in ARCHITECTURE.md")
    count, problems = 0, []
    for folder, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            if name.endswith((".c", ".h")):
                path = os.path.relpath(os.path.join(folder, name), os.path.join(ROOT, "src"))
                if room_of(path, rooms) not in rooms and not path.startswith("services/") and "/" in path:
                    problems.append(f"src/{path}: its room is not in the table")
                problems += problems_of(path, rooms)
                count += 1
    print("\n".join(problems) if problems else f"rooms: {count} files keep to the table")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
