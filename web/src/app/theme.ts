// Light, dark, or what the system says. CSS reads data-theme on the root; meetings are dark whatever is chosen.
import { effect, signal } from "@preact/signals";
import { readText, writeText } from "./storage";

export type Theme = "auto" | "light" | "dark";
const storageKey = "parlance.theme";

function storedTheme(): Theme {
  const stored = readText(storageKey);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

export const theme = signal<Theme>(storedTheme());
// Set by the meeting while it is on screen.
export const isForcedDark = signal(false);

export function setTheme(next: Theme): void {
  writeText(storageKey, next === "auto" ? null : next);
  theme.value = next;
}

export function startTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isSystemDark = signal(system.matches);
  system.addEventListener("change", () => (isSystemDark.value = system.matches));
  effect(() => {
    const isDark = isForcedDark.value || theme.value === "dark" || (theme.value === "auto" && isSystemDark.value);
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
    const color = isForcedDark.value ? "#0b0d10" : isDark ? "#101317" : "#ffffff";
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.setAttribute("content", color);
  });
}
