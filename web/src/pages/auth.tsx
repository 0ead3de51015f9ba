// The frame of the sign-in and register pages: the form, and beside it (on wide screens) a picture of what waits behind.
import type { ComponentChildren } from "preact";
import { t } from "../i18n/i18n";
import { LanguageSelect } from "../ui/language-select";
import { Logo } from "../ui/logo";

export function AuthPage({ title, text, children }: { title: string; text: string; children: ComponentChildren }) {
  return (
    <div class="auth">
      <div class="auth-side">
        <header class="auth-brand">
          <Logo size={32} />
          <span>Parlance</span>
        </header>
        <main class="auth-main">
          <h1>{title}</h1>
          <p class="auth-lead">{text}</p>
          {children}
        </main>
        <footer class="auth-foot">
          <LanguageSelect />
        </footer>
      </div>
      <div class="auth-art" aria-hidden="true">
        <MeetingDrawing />
        <p class="auth-claim">{t("auth.claim")}</p>
        <p class="auth-claim-more">{t("auth.claimMore")}</p>
      </div>
    </div>
  );
}

function Person(props: { x: number; y: number; w: number; h: number; from: string; to: string; id: string; isSpeaking?: boolean }) {
  const { x, y, w, h, id } = props;
  const cx = x + w / 2;
  const headY = y + h * 0.42;
  const r = h * 0.17;
  return (
    <g>
      <defs>
        <linearGradient id={`fill-${id}`} x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stop-color={props.from} />
          <stop offset="1" stop-color={props.to} />
        </linearGradient>
        <clipPath id={`clip-${id}`}>
          <rect x={x} y={y} width={w} height={h} rx="14" />
        </clipPath>
      </defs>
      <g clip-path={`url(#clip-${id})`}>
        <rect x={x} y={y} width={w} height={h} fill={`url(#fill-${id})`} />
        <circle cx={cx} cy={headY} r={r} fill="#fff" fill-opacity=".9" />
        <ellipse cx={cx} cy={y + h * 1.02} rx={r * 2.1} ry={r * 2.2} fill="#fff" fill-opacity=".9" />
      </g>
      {props.isSpeaking && (
        <rect x={x - 4} y={y - 4} width={w + 8} height={h + 8} rx="18" fill="none" stroke="#3dd68c" stroke-width="3" />
      )}
      <rect x={x + 12} y={y + h - 26} width={w * 0.32} height="14" rx="7" fill="#000" fill-opacity=".35" />
    </g>
  );
}

function MeetingDrawing() {
  return (
    <svg viewBox="0 0 520 400" class="auth-drawing">
      <rect x="0" y="0" width="520" height="400" rx="22" fill="#12161c" stroke="#2a323d" />
      <Person id="a" x={24} y={24} w={304} h={280} from="#2f5bea" to="#7a3fd1" isSpeaking />
      <Person id="b" x={348} y={24} w={148} h={132} from="#0e7560" to="#1b9a7a" />
      <Person id="c" x={348} y={172} w={148} h={132} from="#b0307c" to="#e2725b" />
      {[150, 200, 250, 300].map((x) => (
        <circle key={x} cx={x} cy="352" r="19" fill="#252c36" />
      ))}
      <rect x="331" y="333" width="58" height="38" rx="19" fill="#d93a3a" />
      <g stroke="#e8ebf0" stroke-width="2.4" stroke-linecap="round" fill="none">
        <rect x="146" y="342" width="8" height="13" rx="4" />
        <path d="M142 352a8 8 0 0 0 16 0M150 360v3" />
        <rect x="191" y="346" width="12" height="12" rx="3" />
        <path d="m203 351 6-3v8l-6-3" />
        <path d="M241 346h18v11h-18zM246 361h8" />
        <path d="M294 352v-6m4 5v-8m4 8v-7m4 8v-3c0 10-3 11-7 11s-5-3-8-8" />
        <path d="M350 355c6-5 14-5 20 0" stroke="#fff" />
      </g>
    </svg>
  );
}
