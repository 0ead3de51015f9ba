// Notices when somebody who is muted talks, and shows how loud one's own microphone is.
import { effect, signal } from "@preact/signals";
import { micTrack } from "../media/devices";
import { watchLevel } from "../media/level";
import { t } from "../i18n/i18n";
import { announce } from "../ui/toast";
import type { MeetingSession } from "./session";

const everyMs = 100;
const speechLevel = 0.45;
const speechTicks = 6; // of the last ten
const hintShownMs = 5_000;
const hintEveryMs = 20_000;

export class TalkWatch {
  readonly isHintShown = signal(false);
  readonly level = signal(0);
  private recent: boolean[] = [];
  private hintedAtMs = 0;
  private stopWatch: (() => void) | null = null;
  private readonly stopEffect: () => void;

  constructor(private readonly session: MeetingSession) {
    this.stopEffect = effect(() => {
      const track = micTrack.value;
      this.stopWatch?.();
      this.stopWatch = track ? watchLevel(track, everyMs, (level) => this.onLevel(level)) : null;
    });
  }

  close(): void {
    this.stopEffect();
    this.stopWatch?.();
  }

  private onLevel(level: number): void {
    const isOn = this.session.isMicOn.value;
    // Steps of a tenth: the button need not be drawn for less.
    this.level.value = isOn ? Math.round(level * 10) / 10 : 0;
    if (isOn) {
      this.recent = [];
      this.isHintShown.value = false;
      return;
    }
    this.recent = [...this.recent, level > speechLevel].slice(-10);
    const isTalking = this.recent.filter(Boolean).length >= speechTicks;
    if (!isTalking || Date.now() - this.hintedAtMs < hintEveryMs) return;
    this.hintedAtMs = Date.now();
    this.isHintShown.value = true;
    announce(t("mic.youAreMuted"));
    setTimeout(() => (this.isHintShown.value = false), hintShownMs);
  }
}
