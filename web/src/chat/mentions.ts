// Who is meant in a text: "@" and a name. The text stays as it was typed; which ids go beside it, and which words of it are
// shown as a mention, is found here. No screen in here.

export interface Named {
  id: string;
  // What the person may be called: nickname here, nickname, username.
  names: string[];
}
export type Segment = string | { id: string; text: string };

// The id of everybody.
export const everybody = "all";
const queryMost = 32;

const isWord = (c: string | undefined): boolean => c !== undefined && /[\p{L}\p{N}_]/u.test(c) && !/[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/u.test(c);
// An "@" within an address names nobody.
const mayBegin = (text: string, at: number): boolean => text[at] === "@" && !isWord(text[at - 1]) && text[at - 1] !== ".";

// The mention that is being typed at the caret.
export function typedMention(text: string, caret: number): { from: number; query: string } | null {
  const from = text.lastIndexOf("@", caret - 1);
  if (from < 0 || !mayBegin(text, from)) return null;
  const query = text.slice(from + 1, caret);
  return query.length > queryMost || /\n|^\s/.test(query) ? null : { from, query };
}

// Those whose name has what is typed at the beginning of one of its words, the best first.
export function fitting(people: Named[], query: string, most: number): Named[] {
  const q = query.toLowerCase();
  const rankOf = (p: Named): number => {
    const names = p.names.map((n) => n.toLowerCase());
    if (names.some((n) => n.startsWith(q))) return 0;
    return names.some((n) => n.split(/[\s._-]+/).some((word) => word.startsWith(q))) ? 1 : 2;
  };
  const ranked = people.map((p) => ({ p, rank: rankOf(p) })).filter((r) => r.rank < 2);
  return ranked.sort((a, b) => a.rank - b.rank).slice(0, most).map((r) => r.p);
}

// The longest name that stands behind the "@" at this place; `lower`: the text in lower case.
function namedAt(text: string, lower: string, at: number, people: Named[]): { id: string; end: number } | null {
  let best: { id: string; end: number } | null = null;
  for (const p of people)
    for (const name of p.names) {
      if (!name || !lower.startsWith(name.toLowerCase(), at + 1)) continue;
      const end = at + 1 + name.length;
      if (isWord(text[end - 1]) && isWord(text[end])) continue;
      if (!best || end > best.end) best = { id: p.id, end };
    }
  return best;
}

export function segments(text: string, people: Named[]): Segment[] {
  const found: Segment[] = [];
  const lowered = text.toLowerCase();
  const lower = lowered.length === text.length ? lowered : text; // "İ" grows: places would shift
  let done = 0;
  for (let at = people.length ? text.indexOf("@") : -1; at >= 0; at = text.indexOf("@", at + 1)) {
    const named = mayBegin(text, at) ? namedAt(text, lower, at, people) : null;
    if (!named) continue;
    if (at > done) found.push(text.slice(done, at));
    found.push({ id: named.id, text: text.slice(at, named.end) });
    done = named.end;
    at = named.end - 1;
  }
  if (done < text.length) found.push(text.slice(done));
  return found;
}

export function mentionsIn(text: string, people: Named[]): { mentions: string[]; is_mentioning_all: boolean } {
  const ids = new Set(segments(text, people).flatMap((s) => (typeof s === "string" ? [] : [s.id])));
  const is_mentioning_all = ids.delete(everybody);
  return { mentions: [...ids], is_mentioning_all };
}
