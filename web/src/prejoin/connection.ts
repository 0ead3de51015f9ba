// Can this browser hold a meeting with this server? Asked before joining, so that a bad answer comes in time: does the
// signaling socket open, how long is the way, does the browser find a network address for media. Whether the media port
// is reachable shows on joining only, for the server answers no stranger there.

export type Verdict =
  | { state: "checking" }
  | { state: "good" | "slow"; roundTripMs: number }
  | { state: "noServer" | "noSocket" | "noWebRtc" | "noCandidates" | "insecure" };

const socketLimitMs = 6000;
const gatherLimitMs = 3000;
const slowMs = 300;

export function socketUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/signaling`;
}

function opens(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new WebSocket(socketUrl(), "parlance.signaling.v1");
    const timer = setTimeout(() => done(false), socketLimitMs);
    const done = (isOpen: boolean) => {
      clearTimeout(timer);
      socket.close(1000);
      resolve(isOpen);
    };
    socket.onopen = () => done(true);
    socket.onerror = () => done(false);
  });
}

// The shortest of three small requests: the way there and back without the server's own work.
async function roundTrip(): Promise<number | null> {
  let best: number | null = null;
  for (let i = 0; i < 3; i++) {
    const from = performance.now();
    try {
      const response = await fetch("/favicon.svg", { cache: "no-store", method: "HEAD" });
      if (!response.ok) return null;
    } catch {
      return null;
    }
    const took = performance.now() - from;
    best = best === null ? took : Math.min(best, took);
  }
  return best;
}

function gathers(): Promise<boolean> {
  return new Promise((resolve) => {
    const pc = new RTCPeerConnection();
    const timer = setTimeout(() => done(false), gatherLimitMs);
    const done = (isFound: boolean) => {
      clearTimeout(timer);
      pc.close();
      resolve(isFound);
    };
    pc.onicecandidate = (e) => e.candidate?.candidate && done(true);
    pc.createDataChannel("probe");
    pc.createOffer()
      .then((offer) => pc.setLocalDescription(offer))
      .catch(() => done(false));
  });
}

export async function checkConnection(): Promise<Verdict> {
  if (!isSecureContext) return { state: "insecure" };
  if (!("RTCPeerConnection" in window)) return { state: "noWebRtc" };
  const [roundTripMs, isOpen, isFound] = await Promise.all([roundTrip(), opens(), gathers()]);
  if (roundTripMs === null) return { state: "noServer" };
  if (!isOpen) return { state: "noSocket" };
  if (!isFound) return { state: "noCandidates" };
  return { state: roundTripMs > slowMs ? "slow" : "good", roundTripMs: Math.max(1, Math.round(roundTripMs)) };
}
