// The emoji to choose from, by kind, out of Unicode's own ranges (up to version 12, which every system draws), and the ones
// used last.
import { readJson, writeJson } from "../app/storage";

export const quick = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];

const ranges: Record<string, [number, number][]> = {
  faces: [[0x1f600, 0x1f644], [0x1f910, 0x1f917], [0x1f920, 0x1f92f], [0x1f970, 0x1f976], [0x1f97a, 0x1f97a]],
  people: [[0x1f44a, 0x1f450], [0x1f446, 0x1f449], [0x1f590, 0x1f596], [0x1f918, 0x1f91f], [0x1f64b, 0x1f64f], [0x1f4aa, 0x1f4aa], [0x1f440, 0x1f440], [0x1f464, 0x1f483]],
  nature: [[0x1f400, 0x1f43e], [0x1f980, 0x1f9a2], [0x1f330, 0x1f344], [0x1f308, 0x1f320]],
  food: [[0x1f345, 0x1f37b], [0x1f950, 0x1f96f]],
  activity: [[0x1f380, 0x1f393], [0x1f3a0, 0x1f3c6], [0x1f3f8, 0x1f3fa], [0x1f680, 0x1f6a5]],
  objects: [[0x1f4a1, 0x1f4a1], [0x1f4af, 0x1f4b8], [0x1f4bb, 0x1f4dd], [0x1f4e2, 0x1f4f7], [0x1f50a, 0x1f517], [0x1f525, 0x1f52b]],
  signs: [[0x1f493, 0x1f49f], [0x2705, 0x2705], [0x274c, 0x274c], [0x2753, 0x2757], [0x2728, 0x2728], [0x2b50, 0x2b50], [0x1f534, 0x1f53d], [0x1f197, 0x1f19a]],
};
const isDrawn = /^\p{Emoji_Presentation}$/u;

export type EmojiKind = keyof typeof ranges & string;
export const kinds = Object.keys(ranges);

export function emojisOf(kind: string): string[] {
  const all = (ranges[kind] ?? []).flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i)));
  return all.filter((e) => isDrawn.test(e));
}

const storageKey = "parlance.emoji";
const recentMost = 16;

export function recent(): string[] {
  const { list } = readJson<{ list: string[] }>(storageKey, { list: [] });
  return Array.isArray(list) ? list.slice(0, recentMost) : [];
}

export function used(emoji: string): void {
  writeJson(storageKey, { list: [emoji, ...recent().filter((e) => e !== emoji)].slice(0, recentMost) });
}
