// A person's picture, or the initials on a colour that stays the same for the same name.
import { useState } from "preact/hooks";

// Each at least 4.5:1 beneath white.
const colors = ["#2F5BEA", "#7A3FD1", "#B0307C", "#B3382C", "#9A5200", "#43711A", "#0E7560", "#0B6E99", "#4A5A78"];

export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")][0] ?? "?";
  // Han, kana and hangul names are known by one character, others by two words.
  if (/[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/u.test(first)) return first;
  const last = words.length > 1 ? ([...(words[words.length - 1] ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}

export function colorOf(text: string): string {
  let hash = 7;
  for (const c of text) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return colors[hash % colors.length] ?? "#4A5A78";
}

export function Avatar(props: { name: string; url?: string | undefined; size?: number; class?: string }) {
  const [isBroken, setBroken] = useState(false);
  const size = props.size ?? 40;
  const style = { width: size, height: size, fontSize: Math.round(size * 0.4), backgroundColor: colorOf(props.name) };
  const cls = `avatar${props.class ? ` ${props.class}` : ""}`;
  if (props.url && !isBroken)
    return <img class={cls} style={style} src={props.url} alt="" onError={() => setBroken(true)} />;
  // Drawn by CSS: the letters are a picture, not a text that a button beneath would have to say.
  return <span class={cls} style={style} aria-hidden="true" data-initials={initials(props.name)} />;
}
