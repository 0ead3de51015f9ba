// How loud a microphone is: 0 to 1, on a scale on which speech fills about two thirds.
let context: AudioContext | null = null;

function sharedContext(): AudioContext {
  context ??= new AudioContext();
  // Suspended until the person has done something on the page.
  if (context.state === "suspended") void context.resume();
  return context;
}

const floorDb = -60;
const ceilingDb = -12;

function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const db = 10 * Math.log10(sum / samples.length + 1e-12);
  return Math.min(1, Math.max(0, (db - floorDb) / (ceilingDb - floorDb)));
}

// Calls back every `everyMs` until stopped.
export function watchLevel(track: MediaStreamTrack, everyMs: number, onLevel: (level: number) => void): () => void {
  const audio = sharedContext();
  const source = audio.createMediaStreamSource(new MediaStream([track]));
  const analyser = audio.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    if (audio.state === "suspended") void audio.resume();
    analyser.getFloatTimeDomainData(samples);
    onLevel(levelOf(samples));
  }, everyMs);
  return () => {
    clearInterval(timer);
    source.disconnect();
  };
}
