// One's own presence in a meeting: joins socket, room, the two peer connections and the devices, and offers what the
// buttons do. Everything the views show is a signal here or in the room.
import { batch, computed, effect, signal } from "@preact/signals";
import { renew, token as accountToken } from "../app/api";
import { joinMeeting, leaveMeeting, type Caller, type JoinFields } from "../app/meetings";
import { isForcedDark } from "../app/theme";
import type { JoinReply, Source } from "../app/types";
import { t } from "../i18n/i18n";
import * as devices from "../media/devices";
import { prefs, setPrefs } from "../media/prefs";
import { toast, toastError } from "../ui/toast";
import { announceRoom } from "./announce";
import type { EventFrame, RoomJoined } from "./frames";
import { Publisher } from "./publisher";
import { Quality } from "./quality";
import { Room } from "./room";
import { ScreenShare } from "./screen";
import { Signal, type EndReason, type LinkState } from "./signal";
import { Subscriber } from "./subscriber";
import { Subscriptions } from "./subscriptions";
import { TalkWatch } from "./talk";

export type Phase = "connecting" | "waiting" | "inside" | "over";

const mediaSlowMs = 9_000;
const sourceOfKind = { audio: "microphone", video: "camera", screen: "screen" } as const;

export class MeetingSession {
  readonly phase = signal<Phase>("connecting");
  readonly endReason = signal<EndReason | null>(null);
  readonly endedBy = signal("");
  readonly link = signal<LinkState>("connecting");
  readonly room: Room;
  readonly signal: Signal;
  readonly subscriptions: Subscriptions;
  readonly screen: ScreenShare;
  readonly quality: Quality;
  readonly talk: TalkWatch;
  readonly enteredAtMs = signal(0);
  readonly leftAtMs = signal(0);

  readonly isMicOn = signal(prefs.value.isMicrophoneOn && devices.micTrack.value !== null);
  readonly isCameraOn = signal(prefs.value.isCameraOn && devices.cameraTrack.value !== null);
  readonly publishState = signal<RTCPeerConnectionState>("new");
  readonly subscribeState = signal<RTCPeerConnectionState>("new");
  // The socket works, the media way does not come up: a firewall, most likely.
  readonly isMediaBlocked = signal(false);
  // The browser wants a click before it lets sound be heard.
  readonly isSoundBlocked = signal(false);
  readonly isHandUp = computed(() => this.room.self.value?.is_hand_raised ?? false);

  private publisher: Publisher | null = null;
  private subscriber: Subscriber | null = null;
  private sessionId = "";
  private guestToken: string;
  private mediaTimer: ReturnType<typeof setTimeout> | null = null;
  private stops: (() => void)[] = [];
  private wakeLock: WakeLockSentinel | null = null;
  // Wanted on, and still being opened when the person clicked: on as soon as they are there.
  private readonly awaited = new Set<devices.Kind>(
    devices.isAsking.value
      ? [...(prefs.value.isMicrophoneOn ? ["microphone" as const] : []), ...(prefs.value.isCameraOn ? ["camera" as const] : [])]
      : [],
  );

  constructor(
    readonly reply: JoinReply,
    private readonly fields: JoinFields,
  ) {
    this.guestToken = reply.access_token ?? "";
    this.room = new Room(reply.meeting);
    this.signal = new Signal({
      meetingId: reply.meeting.id,
      token: (isRenewed) => this.token(isRenewed),
      rejoin: () => this.rejoin(),
      onState: (state) => (this.link.value = state),
      onWaiting: () => (this.phase.value = "waiting"),
      onJoined: (frame) => void this.onJoined(frame),
      onEvent: (frame) => this.onEvent(frame),
      onEnd: (reason) => this.onEnd(reason),
    });
    this.subscriptions = new Subscriptions(this.signal, () => this.room.selfId.value);
    this.screen = new ScreenShare(() => this.publisher);
    this.quality = new Quality(this);
    this.talk = new TalkWatch(this);
    this.watch();
  }

  // What a guest calls the REST API with; accounts use their own token.
  get caller(): Caller {
    return this.guestToken ? { token: this.guestToken } : {};
  }

  get publishConnection(): RTCPeerConnection | null {
    return this.publisher?.pc ?? null;
  }

  get subscribeConnection(): RTCPeerConnection | null {
    return this.subscriber?.pc ?? null;
  }

  // ---- what the buttons do ----

  toggleMic = async (): Promise<void> => this.setMic(!this.isMicOn.value);

  async setMic(isOn: boolean, isRemembered = true): Promise<void> {
    this.awaited.delete("microphone");
    if (isOn && !devices.micTrack.value && !(await devices.open("microphone"))) return;
    this.isMicOn.value = isOn;
    if (isRemembered) setPrefs({ isMicrophoneOn: isOn });
    await this.attempt(() => this.syncMic());
  }

  toggleCamera = async (): Promise<void> => {
    this.awaited.delete("camera");
    const isOn = !this.isCameraOn.value;
    if (isOn && !(await devices.open("camera"))) return;
    this.isCameraOn.value = isOn;
    setPrefs({ isCameraOn: isOn });
    if (!isOn) devices.close("camera");
    await this.attempt(() => this.syncCamera());
  };

  toggleScreen = async (): Promise<void> => {
    if (!this.screen.isOn.value && !this.room.isModerator.value && !this.room.meeting.value.can_participants_share) {
      toast(t("share.notAllowed"), "bad");
      return;
    }
    await this.attempt(() => this.screen.toggle());
  };

  toggleHand = (): Promise<void> =>
    this.attempt(() => this.signal.request("raise_hand", { is_raised: !this.isHandUp.value }));

  react = (emoji: string): Promise<void> => this.attempt(() => this.signal.request("reaction", { emoji }));

  lowerHand = (participantId: string): Promise<void> =>
    this.attempt(() => this.signal.request("lower_hand", { participant_id: participantId }));

  leave(reason: "left" | "navigated"): void {
    if (this.phase.value === "over") return;
    this.signal.tell("leave_room");
    if (!this.signal.isOpen) void leaveMeeting(this.reply.meeting.id, this.caller).catch(() => undefined);
    this.signal.close(reason);
  }

  // ---- coming and going ----

  private async token(isRenewed: boolean): Promise<string> {
    if (this.guestToken) return this.guestToken;
    if (isRenewed) await renew();
    return accountToken();
  }

  private async rejoin(): Promise<boolean> {
    const reply = await joinMeeting(this.reply.meeting.id, this.fields, this.caller);
    if (reply.access_token) this.guestToken = reply.access_token;
    return true;
  }

  private async onJoined(frame: RoomJoined): Promise<void> {
    const isFirst = this.phase.value !== "inside";
    batch(() => {
      this.room.reset(frame);
      this.phase.value = "inside";
      if (isFirst) this.enteredAtMs.value = Date.now();
    });
    if (isFirst) this.onEntered();
    const isSame = frame.is_resumed && frame.session_id === this.sessionId;
    this.sessionId = frame.session_id;
    if (isSame) {
      await this.attempt(async () => {
        await this.publisher?.resume();
        await this.subscriber?.resume();
      });
    } else {
      this.openConnections(frame);
      await this.attempt(() => this.publishAll());
    }
    this.subscriptions.setTracks(this.room.tracks.value);
  }

  private onEntered(): void {
    isForcedDark.value = true;
    const isWanted = this.isMicOn.value || this.awaited.has("microphone");
    if (this.room.meeting.value.is_muted_on_entry && !this.room.isModerator.value && isWanted) {
      this.awaited.delete("microphone");
      this.isMicOn.value = false;
      toast(t("mic.mutedOnEntry"), "info", { text: t("mic.on"), run: () => void this.toggleMic() });
    }
    void this.keepAwake();
  }

  private openConnections(frame: RoomJoined): void {
    this.publisher?.close();
    this.subscriber?.close();
    this.room.media.value = new Map();
    this.subscriptions.forgetTold();
    const ice = (frame.ice_servers ?? []).filter((s) => s.urls?.length);
    this.publisher = new Publisher(
      this.signal,
      ice,
      (tracks) => this.room.addTracks(tracks),
      (state) => this.onMedia(this.publishState, state),
    );
    this.subscriber = new Subscriber(
      this.signal,
      ice,
      (tracks) => (this.room.media.value = tracks),
      (state) => this.onMedia(this.subscribeState, state),
    );
  }

  private async publishAll(): Promise<void> {
    // One offer for all of them: the publisher gathers what is asked in the same turn.
    await Promise.all([this.syncMic(), this.syncCamera(), this.screen.publishAgain()]);
  }

  private async syncMic(): Promise<void> {
    const track = devices.micTrack.value;
    if (track || this.isMicOn.value) await this.publisher?.publish("microphone", track, !this.isMicOn.value || !track);
  }

  private async syncCamera(): Promise<void> {
    const track = this.isCameraOn.value ? devices.cameraTrack.value : null;
    if (track) {
      track.contentHint = "motion";
      await this.publisher?.publish("camera", track, false);
    } else {
      await this.publisher?.setMuted("camera", true);
    }
  }

  private onEvent(frame: EventFrame): void {
    this.room.apply(frame);
    announceRoom(this.room, frame);
    if (frame.type === "offer") this.subscriber?.onOffer(frame);
    else if (frame.type === "mute_requested") void this.onMuteRequested(frame.kind, frame.actor_id);
    else if (frame.type === "meeting_ended") this.endedBy.value = frame.actor_id;
    else if (frame.type === "server_closing") this.link.value = "reconnecting";
  }

  private async onMuteRequested(kind: keyof typeof sourceOfKind, actorId: string): Promise<void> {
    const source: Source = sourceOfKind[kind];
    const actor = [...this.room.members.value.values()].find((m) => m.user_id === actorId)?.name;
    this.publisher?.heldBack(source);
    if (source === "microphone" && this.isMicOn.value) {
      await this.setMic(false, false);
      toast(actor ? t("muted.audioBy", { name: actor }) : t("muted.audio"), "info", {
        text: t("mic.on"),
        run: () => void this.toggleMic(),
      });
    } else if (source === "camera" && this.isCameraOn.value) {
      await this.toggleCamera();
      toast(actor ? t("muted.videoBy", { name: actor }) : t("muted.video"));
    } else if (source === "screen" && this.screen.isOn.value) {
      await this.screen.stop();
      toast(actor ? t("muted.screenBy", { name: actor }) : t("muted.screen"));
    }
  }

  private onMedia(target: { value: RTCPeerConnectionState }, state: RTCPeerConnectionState): void {
    target.value = state;
    const states = [this.publishState.value, this.subscribeState.value];
    const isStuck = states.some((s) => s === "connecting" || s === "failed" || s === "disconnected");
    if (state === "disconnected" || state === "failed") this.signal.probe();
    if (!isStuck) {
      this.isMediaBlocked.value = false;
      if (this.mediaTimer) clearTimeout(this.mediaTimer);
      this.mediaTimer = null;
      return;
    }
    this.mediaTimer ??= setTimeout(() => {
      this.mediaTimer = null;
      this.isMediaBlocked.value = this.link.value === "open";
    }, mediaSlowMs);
  }

  // A change of device during the meeting takes the place of the former track.
  private watch(): void {
    this.stops.push(
      effect(() => {
        const track = devices.micTrack.value;
        if (track && this.awaited.delete("microphone")) this.isMicOn.value = true;
        if (track && this.phase.peek() === "inside") void this.attempt(() => this.syncMic());
        if (!track) this.isMicOn.value = false;
      }),
      effect(() => {
        const track = devices.cameraTrack.value;
        if (track && this.awaited.delete("camera")) this.isCameraOn.value = true;
        if (track && this.phase.peek() === "inside" && this.isCameraOn.peek()) void this.attempt(() => this.syncCamera());
        if (!track && this.isCameraOn.peek()) {
          this.isCameraOn.value = false;
          void this.attempt(() => this.syncCamera());
        }
      }),
      effect(() => this.subscriptions.setTracks(this.room.tracks.value)),
    );
    devices.listenUnplugged((kind, fallback) => {
      if (fallback) toast(t(`unplugged.${kind}`, { name: fallback }));
      else toast(t(`unplugged.${kind}None`), "bad");
    });
    const onHide = () => this.leave("left");
    addEventListener("pagehide", onHide);
    this.stops.push(() => removeEventListener("pagehide", onHide));
    document.addEventListener("visibilitychange", this.keepAwake);
    this.stops.push(() => document.removeEventListener("visibilitychange", this.keepAwake));
  }

  // A phone's screen stays on while one is inside.
  private keepAwake = async (): Promise<void> => {
    if (document.visibilityState !== "visible" || this.phase.value !== "inside") return;
    try {
      this.wakeLock = await (navigator.wakeLock as WakeLock | undefined)?.request("screen") ?? null;
    } catch {
      // low battery: the system decides
    }
  };

  private async attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // Without a socket the banner says so already, and resume() does what was left undone.
      if (this.signal.isOpen) toastError(error);
    }
  }

  private onEnd(reason: EndReason): void {
    for (const stop of this.stops) stop();
    if (this.mediaTimer) clearTimeout(this.mediaTimer);
    devices.listenUnplugged(() => undefined);
    this.screen.end();
    this.talk.close();
    this.quality.close();
    this.subscriptions.close();
    this.publisher?.close();
    this.subscriber?.close();
    void this.wakeLock?.release().catch(() => undefined);
    devices.closeAll();
    batch(() => {
      isForcedDark.value = false;
      this.leftAtMs.value = Date.now();
      this.endReason.value = reason;
      this.phase.value = "over";
    });
  }
}
