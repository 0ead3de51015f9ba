// The mark: a voice inside a speech bubble that is also a P.
export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" class="logo">
      <rect width="32" height="32" rx="9" fill="#2f5bea" />
      <path d="M9 24.5V12.5a5 5 0 0 1 5-5h4.5a6 6 0 0 1 0 12H14z" fill="#fff" />
      <path d="M14.6 12v3M17 10.6v5.8M19.4 12v3" stroke="#2f5bea" stroke-width="1.6" stroke-linecap="round" />
    </svg>
  );
}
