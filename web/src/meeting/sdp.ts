// The little that must be said in SDP because there is no other way: Opus without sending in silence for speech, stereo
// for the sound of a shared screen. Works on whole m-sections and leaves everything else alone.

function opusPayload(section: string): string | undefined {
  return /^a=rtpmap:(\d+) opus\/48000/im.exec(section)?.[1];
}

function withFmtp(section: string, payload: string, settings: Record<string, string>): string {
  const line = new RegExp(`^a=fmtp:${payload} (.*)$`, "m");
  const found = line.exec(section);
  const params = new Map<string, string>();
  for (const part of (found?.[1] ?? "").trim().split(/;\s*/).filter(Boolean)) {
    const [name = "", value = ""] = part.split("=");
    params.set(name, value);
  }
  for (const [name, value] of Object.entries(settings)) params.set(name, value);
  const text = `a=fmtp:${payload} ${[...params].map(([n, v]) => `${n}=${v}`).join(";")}`;
  if (found) return section.replace(line, text);
  return section.replace(new RegExp(`^(a=rtpmap:${payload} .*)$`, "m"), `$1\r\n${text}`);
}

function sections(sdp: string): string[] {
  return sdp.split(/(?=^m=)/m);
}

function midOf(section: string): string {
  return /^a=mid:(\S+)/m.exec(section)?.[1] ?? "";
}

// For the description that the other side of an Opus sender wrote: what it would like to receive.
export function withOpusSettings(sdp: string, stereoMids: string[]): string {
  return sections(sdp)
    .map((section) => {
      if (!section.startsWith("m=audio")) return section;
      const payload = opusPayload(section);
      if (!payload) return section;
      const isStereo = stereoMids.includes(midOf(section));
      return withFmtp(
        section,
        payload,
        isStereo ? { stereo: "1", "sprop-stereo": "1", useinbandfec: "1" } : { usedtx: "1", useinbandfec: "1" },
      );
    })
    .join("");
}

// For our answer on the subscribing side: whoever sends stereo is decoded in stereo.
export function withStereoDecoding(sdp: string): string {
  return sections(sdp)
    .map((section) => {
      const payload = section.startsWith("m=audio") ? opusPayload(section) : undefined;
      return payload ? withFmtp(section, payload, { stereo: "1" }) : section;
    })
    .join("");
}
