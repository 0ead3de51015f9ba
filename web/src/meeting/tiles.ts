// Which tiles there are, in which order, and which of them has the stage.
import type { Member, Track } from "../app/types";
import { promoteSpeakers } from "./layout";
import type { MeetingSession } from "./session";
import { isSelfHidden, layoutMode, pinnedKey } from "./view-state";

export interface TileItem {
  key: string; // "cam:<participant>" or "screen:<participant>"
  kind: "camera" | "screen";
  member: Member;
  isSelf: boolean;
  track: Track | undefined;
}

// Screens first, then oneself, then the others as they came.
export function tileItems(session: MeetingSession): TileItem[] {
  const { room } = session;
  const selfId = room.selfId.value;
  const members = [...room.members.value.values()].sort((a, b) => a.joined_at_ms - b.joined_at_ms || (a.id < b.id ? -1 : 1));
  const self = members.filter((m) => m.id === selfId);
  const others = members.filter((m) => m.id !== selfId);
  const screens = members
    .filter((m) => room.track(m.id, "screen"))
    .map<TileItem>((member) => ({
      key: `screen:${member.id}`,
      kind: "screen",
      member,
      isSelf: member.id === selfId,
      track: room.track(member.id, "screen"),
    }));
  const shown = isSelfHidden.value && others.length ? others : [...self, ...others];
  return [
    ...screens,
    ...shown.map<TileItem>((member) => ({
      key: `cam:${member.id}`,
      kind: "camera",
      member,
      isSelf: member.id === selfId,
      track: room.track(member.id, "camera"),
    })),
  ];
}

export function stageKey(session: MeetingSession, items: TileItem[]): string | null {
  const pinned = pinnedKey.value;
  if (pinned && items.some((i) => i.key === pinned)) return pinned;
  if (layoutMode.value === "grid") return null;
  const screens = items.filter((i) => i.kind === "screen" && !i.isSelf);
  const newest = screens[screens.length - 1];
  if (newest) return newest.key;
  if (layoutMode.value !== "speaker") return null;
  const active = `cam:${session.room.activeSpeaker.value}`;
  if (items.some((i) => i.key === active)) return active;
  return items.find((i) => !i.isSelf)?.key ?? items[0]?.key ?? null;
}

// The order of the small tiles, kept from one drawing to the next so that nobody jumps about.
export class TileOrder {
  private keys: string[] = [];

  arrange(items: TileItem[], shown: number, session: MeetingSession): TileItem[] {
    const byKey = new Map(items.map((i) => [i.key, i]));
    const kept = this.keys.filter((k) => byKey.has(k));
    const fresh = items.map((i) => i.key).filter((k) => !this.keys.includes(k));
    // A screen that was just shared comes first; people who just came last.
    const screens = fresh.filter((k) => k.startsWith("screen:"));
    const order = [...screens, ...kept, ...fresh.filter((k) => !k.startsWith("screen:"))];
    const spoke = new Map([...session.room.spokeAtMs.value].map(([id, ms]) => [`cam:${id}`, ms]));
    const fixed = new Set(items.filter((i) => i.isSelf || i.kind === "screen").map((i) => i.key));
    this.keys = promoteSpeakers(order, shown, spoke, fixed);
    return this.keys.map((k) => byKey.get(k)).filter((i): i is TileItem => i !== undefined);
  }
}
