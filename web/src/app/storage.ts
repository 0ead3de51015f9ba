// Small settings kept in this browser. Private windows may refuse storage: then they last as long as the page.
const fallback = new Map<string, string>();

export function readText(key: string): string | null {
  try {
    return localStorage.getItem(key) ?? fallback.get(key) ?? null;
  } catch {
    return fallback.get(key) ?? null;
  }
}

export function writeText(key: string, value: string | null): void {
  if (value === null) fallback.delete(key);
  else fallback.set(key, value);
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // the map above has it
  }
}

export function readJson<T extends object>(key: string, defaults: T): T {
  try {
    const stored: unknown = JSON.parse(readText(key) ?? "{}");
    return stored && typeof stored === "object" ? { ...defaults, ...stored } : defaults;
  } catch {
    return defaults;
  }
}

export function writeJson(key: string, value: object): void {
  writeText(key, JSON.stringify(value));
}
