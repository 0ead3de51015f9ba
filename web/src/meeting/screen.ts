// Sharing the screen, with its sound where the browser gives it.
import { signal } from "@preact/signals";
import type { Publisher } from "./publisher";

// Hints that Chromium knows and others ignore.
interface ShareOptions extends DisplayMediaStreamOptions {
  surfaceSwitching?: "include";
  systemAudio?: "include";
  selfBrowserSurface?: "exclude";
}

export class ScreenShare {
  readonly isOn = signal(false);
  readonly track = signal<MediaStreamTrack | null>(null);
  private stream: MediaStream | null = null;

  constructor(private readonly publisher: () => Publisher | null) {}

  static isPossible(): boolean {
    return "getDisplayMedia" in ((navigator.mediaDevices as MediaDevices | undefined) ?? {});
  }

  async toggle(): Promise<void> {
    if (this.isOn.value) await this.stop();
    else await this.start();
  }

  private async start(): Promise<void> {
    const options: ShareOptions = {
      video: { frameRate: { ideal: 30, max: 30 } },
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      surfaceSwitching: "include",
      systemAudio: "include",
      selfBrowserSurface: "exclude",
    };
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia(options);
    } catch (error) {
      // The person thought better of it.
      if (error instanceof DOMException && ["NotAllowedError", "AbortError"].includes(error.name)) return;
      throw error;
    }
    const video = stream.getVideoTracks()[0];
    if (!video) return;
    // Text must stay sharp; a film may be played all the same.
    video.contentHint = "detail";
    video.addEventListener("ended", () => void this.stop());
    this.stream = stream;
    this.track.value = video;
    this.isOn.value = true;
    try {
      await this.publishAgain();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  // Offers what is shared; also after the media session was made anew.
  async publishAgain(): Promise<void> {
    const publisher = this.publisher();
    const video = this.track.value;
    if (!publisher || !video) return;
    const audio = this.stream?.getAudioTracks()[0];
    await Promise.all([
      publisher.publish("screen", video, false),
      audio ? publisher.publish("screen_audio", audio, false) : null,
    ]);
  }

  async stop(): Promise<void> {
    this.end();
    const publisher = this.publisher();
    await Promise.all([publisher?.unpublish("screen"), publisher?.unpublish("screen_audio")]);
  }

  end(): void {
    this.stream?.getTracks().forEach((t) => t.stop());
    this.stream = null;
    this.track.value = null;
    this.isOn.value = false;
  }
}
