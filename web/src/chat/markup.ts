// The safe subset of Markdown that messages show: bold, italics, code, struck out, links. A tree, never HTML.

export type Span =
  | { type: "text"; text: string }
  | { type: "code" | "block"; text: string }
  | { type: "link"; href: string }
  | { type: "strong" | "em" | "del"; spans: Span[] };

const pattern =
  /```(?:[a-z0-9+-]*\n)?([\s\S]+?)```|`([^`\n]+)`|(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}，。！？；：）])|\*\*(?=\S)([^\n]+?)\*\*|~~(?=\S)([^\n]+?)~~|(?<![\w*])\*(?=[^\s*])([^*\n]+?)\*(?!\w)/g;
const depthMost = 3;

export function parseMarkup(text: string, depth = 0): Span[] {
  if (depth >= depthMost) return [{ type: "text", text }];
  const spans: Span[] = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    const [all, block, code, href, strong, del, em] = found;
    if (found.index > at) spans.push({ type: "text", text: text.slice(at, found.index) });
    at = found.index + all.length;
    if (block !== undefined) spans.push({ type: "block", text: block.replace(/\n$/, "") });
    else if (code !== undefined) spans.push({ type: "code", text: code });
    else if (href !== undefined) spans.push({ type: "link", href });
    else if (strong !== undefined) spans.push({ type: "strong", spans: parseMarkup(strong, depth + 1) });
    else if (del !== undefined) spans.push({ type: "del", spans: parseMarkup(del, depth + 1) });
    else if (em !== undefined) spans.push({ type: "em", spans: parseMarkup(em, depth + 1) });
  }
  if (at < text.length) spans.push({ type: "text", text: text.slice(at) });
  return spans;
}

// The same without any marks: for lists and quotes.
export function plainText(text: string): string {
  const flat = (spans: Span[]): string => spans.map((s) => ("spans" in s ? flat(s.spans) : "text" in s ? s.text : s.href)).join("");
  return flat(parseMarkup(text));
}
