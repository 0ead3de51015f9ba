// A part of a long page: what it is about at the left, its card at the right.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export function Section({ title, text, children }: { title: string; text: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="setting" aria-labelledby={id}>
      <div class="setting-head">
        <h2 id={id}>{title}</h2>
        <p class="meta">{text}</p>
      </div>
      <div class="card setting-card">{children}</div>
    </section>
  );
}
