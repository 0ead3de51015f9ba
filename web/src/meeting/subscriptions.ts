// Asks the server for the pictures that are on the screen, each in the size it is shown, and pauses the others. Tiles
// say what they show; the differences are sent in one go a moment later.
import type { Track } from "../app/types";
import { layerFor } from "./layout";
import type { Signal } from "./signal";

interface Wanted {
  isPaused: boolean;
  rid: string;
}

const settleMs = 200;
// A page nobody looks at needs no pictures, but a glance at another tab should cost no keyframes.
const hiddenAfterMs = 8_000;

export class Subscriptions {
  private shown = new Map<string, Map<object, number>>(); // track -> who shows it -> height
  private told = new Map<string, Wanted>();
  private tracks: ReadonlyMap<string, Track> = new Map();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private hiddenTimer: ReturnType<typeof setTimeout> | null = null;
  private isHidden = false;
  // Set while a picture-in-picture window shows the meeting elsewhere.
  isShownElsewhere = false;

  constructor(
    private readonly signal: Signal,
    private readonly selfId: () => string,
  ) {
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.onVisibility);
    if (this.timer) clearTimeout(this.timer);
    if (this.hiddenTimer) clearTimeout(this.hiddenTimer);
  }

  setTracks(tracks: ReadonlyMap<string, Track>): void {
    this.tracks = tracks;
    for (const id of this.told.keys()) if (!tracks.has(id)) this.told.delete(id);
    this.schedule();
  }

  // A tile shows the track in this height; null: not any more.
  show(trackId: string, by: object, height: number | null): void {
    const users = this.shown.get(trackId) ?? new Map<object, number>();
    if (height === null) users.delete(by);
    else users.set(by, height);
    if (users.size) this.shown.set(trackId, users);
    else this.shown.delete(trackId);
    this.schedule();
  }

  // A new media session knows nothing of what was asked before.
  forgetTold(): void {
    this.told.clear();
    this.schedule();
  }

  private wantedOf(track: Track): Wanted {
    const users = this.shown.get(track.id);
    if (!users || (this.isHidden && !this.isShownElsewhere)) return { isPaused: true, rid: "" };
    return { isPaused: false, rid: layerFor(track.rids ?? [], Math.max(...users.values()), devicePixelRatio) };
  }

  private schedule(): void {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.send();
    }, settleMs);
  }

  private send(): void {
    if (!this.signal.isOpen) return;
    for (const track of this.tracks.values()) {
      if (track.kind !== "video" || track.participant_id === this.selfId()) continue;
      const wanted = this.wantedOf(track);
      const told = this.told.get(track.id) ?? { isPaused: false, rid: "" };
      const fields: { track_id: string; is_paused?: boolean; rid?: string } = { track_id: track.id };
      if (wanted.isPaused !== told.isPaused) fields.is_paused = wanted.isPaused;
      if (!wanted.isPaused && wanted.rid !== told.rid) fields.rid = wanted.rid;
      if (fields.is_paused === undefined && fields.rid === undefined) continue;
      const next = { isPaused: wanted.isPaused, rid: fields.rid ?? told.rid };
      this.told.set(track.id, next);
      this.signal.request("set_subscription", fields).catch(() => {
        if (this.told.get(track.id) === next) this.told.delete(track.id);
      });
    }
  }

  private onVisibility = (): void => {
    if (this.hiddenTimer) clearTimeout(this.hiddenTimer);
    if (document.visibilityState === "hidden") {
      this.hiddenTimer = setTimeout(() => {
        this.isHidden = true;
        this.schedule();
      }, hiddenAfterMs);
    } else if (this.isHidden) {
      this.isHidden = false;
      this.schedule();
    }
  };
}
