// Who has the focus when the row it was in is gone; on elements as far as it asks of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { heirOf, standOf } from "../src/ui/focus-kept";

class Node {
  children: Node[] = [];
  parentElement: Node | null = null;

  constructor(readonly localName: string, readonly name: string, ...children: Node[]) {
    for (const child of children) this.add(child);
  }

  add(child: Node): void {
    this.children.push(child);
    child.parentElement = this;
  }

  remove(): void {
    const { parentElement: parent } = this;
    if (parent) parent.children = parent.children.filter((c) => c !== this);
    this.parentElement = null;
  }

  get isConnected(): boolean {
    return this.localName === "body" || (this.parentElement?.isConnected ?? false);
  }

  closest(tag: string): Node | null {
    return this.localName === tag ? this : (this.parentElement?.closest(tag) ?? null);
  }

  querySelectorAll(selector: string): Node[] {
    const tags = selector.split(", ").map((part) => part.replace(/[:[].*/, ""));
    return this.children.flatMap((c) => [...(tags.includes(c.localName) ? [c] : []), ...c.querySelectorAll(selector)]);
  }

  querySelector(selector: string): Node | null {
    return this.querySelectorAll(selector)[0] ?? null;
  }
}

const row = (name: string) => new Node("li", name, new Node("button", `${name} yes`), new Node("button", `${name} no`));

function make() {
  const rows = [row("a"), row("b"), row("c")];
  const list = new Node("ul", "list", ...rows);
  const section = new Node("section", "section", new Node("h3", "few"), list);
  new Node("body", "body", new Node("h1", "page"), section);
  const gone = (i: number, slot: number, ...others: Node[]) => {
    const button = rows[i]?.children[slot];
    const stand = standOf(button as unknown as Element);
    [rows[i], ...others].forEach((n) => n?.remove());
    return (heirOf(stand) as unknown as Node | undefined)?.name;
  };
  return { rows, list, section, gone };
}

test("the row that takes the place has it, at the same control; else the last", () => {
  assert.equal(make().gone(0, 1), "b no");
  assert.equal(make().gone(1, 0), "c yes");
  assert.equal(make().gone(2, 1), "b no");
});

test("where no row is left, the heading; where that goes too, the next one outwards", () => {
  const { rows, gone } = make();
  assert.equal(gone(0, 1, ...rows), "few");
  const other = make();
  assert.equal(other.gone(1, 1, other.section), "page");
});
