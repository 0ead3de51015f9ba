// What this browser remembers about media: devices, whether microphone and camera were on, the guest's name.
import { signal } from "@preact/signals";
import { readJson, writeJson } from "../app/storage";

export interface MediaPrefs {
  microphone: string;
  camera: string;
  speaker: string;
  isMicrophoneOn: boolean;
  isCameraOn: boolean;
  isNoiseSuppressed: boolean;
  isMirrored: boolean;
  areKeysOn: boolean;
  guestName: string;
}

const storageKey = "parlance.media";

export const prefs = signal<MediaPrefs>(
  readJson<MediaPrefs>(storageKey, {
    microphone: "",
    camera: "",
    speaker: "",
    isMicrophoneOn: true,
    isCameraOn: true,
    isNoiseSuppressed: true,
    isMirrored: true,
    areKeysOn: true,
    guestName: "",
  }),
);

export function setPrefs(changes: Partial<MediaPrefs>): void {
  prefs.value = { ...prefs.value, ...changes };
  writeJson(storageKey, prefs.value);
}
