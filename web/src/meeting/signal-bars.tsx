// How good a connection is, as three bars of which some are lit; the words stand beside it for those who do not see it.
export function SignalBars({ score, size = 16 }: { score: number; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">
      {[0, 1, 2].map((i) => (
        <rect
          key={i}
          x={1 + i * 5}
          y={10 - i * 4}
          width="3.5"
          height={5 + i * 4}
          rx="1.2"
          opacity={i < score ? 1 : 0.3}
        />
      ))}
      {score === 0 && <path d="m10 2 4 4m0-4-4 4" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />}
    </svg>
  );
}
